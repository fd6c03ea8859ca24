/** A ledger row with derived views -> the Provenance that says what they were made of, as JSON text (fhir-modelling.md §2.1). */

import { CANONICAL, instant, viewId, windowName } from '../../model/identifier.ts'
import type { PointProvenance } from '../../model/provenance.ts'
import type { EpochMs } from '../../model/units.ts'
import type { WindowRevision } from '../../model/window.ts'
import { logical, type Naming } from './naming.ts'
import { type Frame, frameOf, type FrameTools } from './observation-frame.ts'
import { sourceReferences } from './observation-source.ts'
import { deviceVersionOf } from './view-context.ts'
import { nameOfView, type View } from './view-name.ts'

const DATA_OPERATION = 'http://terminology.hl7.org/CodeSystem/v3-DataOperation'
const PARTICIPANT = 'http://terminology.hl7.org/CodeSystem/provenance-participant-type'

/** Logical id of the Provenance of one window revision. */
export function provenanceId ({ sid, metric, windowStart, sizeMs, revision }: WindowRevision): string {
  return viewId('provenance', sid, `${windowName(metric, windowStart, sizeMs)}/${revision}`)
}

/** @param derived views of one row, at least one; the row says what made them. `recorded` absent: when the row was issued. */
export function renderProvenance (derived: readonly View[], naming: Naming, tools: FrameTools, options: { bundled?: ReadonlySet<string>, recorded?: EpochMs } = {}): string {
  const first = derived[0]!
  const { row } = first
  const frame = frameOf(first, naming, tools)
  const pipelineVersion = row.provenance[0]?.pipelineVersion ?? ''
  const end = (row.watermark + frame.pipeline.latenessMs) as EpochMs
  return head(row, naming) +
    `,"target":[${derived.map(view => naming.observation(view.id, nameOfView(view), row.revision, options.bundled)).join(',')}]` +
    `,"occurredPeriod":{"start":"${instant(row.from)}","end":"${instant(end)}"},"recorded":"${instant(options.recorded ?? row.issued)}"` +
    `,"policy":["${CANONICAL}/dag/${pipelineVersion}"]` +
    `,"activity":{"coding":[{"system":"${DATA_OPERATION}","code":"${row.revision === 1 ? 'CREATE' : 'UPDATE'}"}],"text":"derive"}` +
    `,"agent":[${[agent('assembler', naming.software(pipelineVersion)), ...authors(row, naming)].join(',')}]` +
    `,"entity":[${entities(first, frame, options.bundled).join(',')}]}`
}

function head (row: WindowRevision, naming: Naming): string {
  const profile = `"profile":["${CANONICAL}/StructureDefinition/derivation-provenance"]`
  return naming.isStored
    ? `{"resourceType":"Provenance","id":"${provenanceId(row)}","meta":{"versionId":"1",${profile}}`
    : `{"resourceType":"Provenance","meta":{${profile}}`
}

function agent (role: string, who: string): string {
  return `{"type":{"coding":[{"system":"${PARTICIPANT}","code":"${role}"}]},"who":${who}}`
}

/** One author for each firmware that took part. */
function authors (row: WindowRevision, naming: Naming): string[] {
  return distinct(row.provenance.map(entry => entry.firmware)).map(firmware => {
    const who = naming.readerVersion(deviceVersionOf(naming.context, firmware, row.issued)?.versionId)
    const text = naming.context.firmware.get(firmware)
    return agent('author', text === undefined ? who : `${who.slice(0, -1)},"display":${JSON.stringify(`firmware ${text}`)}}`)
  })
}

function entities (view: View, frame: Frame, bundled: ReadonlySet<string> | undefined): string[] {
  const { naming } = frame
  const metric = frame.channel?.metric ?? view.row.metric
  const calibrations = distinct(view.row.provenance.map(entry => naming.context.calibrations.get(entry.calibration)))
  return [
    ...sourceReferences(view, frame, bundled).map(what => entity('source', what)),
    ...calibrations.filter(text => text !== undefined).map(text => entity('derivation', naming.calibration(metric, text))),
    ...offsetRanges(view.row.provenance).map(value => entity('source', logical('offset-range', value)))
  ]
}

function entity (role: string, what: string): string { return `{"role":"${role}","what":${what}}` }

function offsetRanges (provenance: readonly PointProvenance[]): string[] {
  return distinct(provenance.flatMap(entry => entry.sources.map(source => `${source.topic}/${source.partition}/${source.firstOffset}-${source.lastOffset}`)))
}

function distinct<T> (items: readonly T[]): T[] { return [...new Set(items)] }
