/** Ledger row, view kind and the names around it -> the Observation as JSON text. Same input, same bytes; no object tree is built. */

import { CANONICAL, instant } from '../../model/identifier.ts'
import type { EpochMs } from '../../model/units.ts'
import { DEMO_CODING } from '../words/demo-coding.ts'
import { deviceVersionOf, isDemoAt } from './view-context.ts'
import { type Frame, type FrameTools, frameOf, provenanceText, windowText } from './observation-frame.ts'
import { effectiveText, isDerived, valueText } from './observation-value.ts'
import type { Naming } from './naming.ts'
import { nameOfView, type View } from './view-name.ts'

const RELIABILITY = 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue'
const QUESTIONABLE = ',"interpretation":[{"coding":[{"system":"http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status","code":"questionable"}]}]'
const DEMO_TAG = JSON.stringify(DEMO_CODING)

const SECURITY = {
  reliable: '',
  uncertain: `,"security":[{"system":"${RELIABILITY}","code":"UNCERTREL"}]`,
  unreliable: `,"security":[{"system":"${RELIABILITY}","code":"UNRELIABLE"}]`
} as const

/** `bundled`: ids of the Observations that stand in the same Bundle. */
export function renderObservation (view: View, naming: Naming, tools: FrameTools, bundled?: ReadonlySet<string>): string {
  const { row } = view
  const frame = frameOf(view, naming, tools)
  const metric = row.issued < frame.metricSince ? frame.unmeasured : frame.measured
  const isError = row.status === 'entered-in-error' || view.isWithdrawn === true
  const value = isError ? undefined : valueText(view, frame, bundled)
  const trust = isError ? 'reliable' : value!.isAbsent ? 'unreliable' : row.flags === 0 ? 'reliable' : 'uncertain'
  return head(view, frame, isError || value!.isBare ? '' : metric.profile, SECURITY[trust]) +
    extensions(view, frame, tools) +
    frame.identifier + nameOfView(view).name + '"}],"status":"' + (isError ? 'entered-in-error' : row.status) + '"' +
    frame.category + `,"subject":${subject(view, frame)}` +
    effectiveText(view) + `,"issued":"${instant(row.issued)}"` + metric.device +
    (trust === 'uncertain' ? QUESTIONABLE : '') + (value?.text ?? '') + '}'
}

function head (view: View, frame: Frame, profile: string, security: string): string {
  const tag = isDemoAt(frame.naming.context, view.row.issued) ? `,"tag":[${DEMO_TAG}]` : ''
  if (frame.naming.isStored) {
    return `{"resourceType":"Observation","id":"${view.id}","meta":{"versionId":"${view.row.revision}",` +
      `"lastUpdated":"${instant(view.row.issued)}"${profile}${security}${tag}}`
  }
  const meta = `${profile}${security}${tag}`
  return meta === '' ? '{"resourceType":"Observation"' : `{"resourceType":"Observation","meta":{${meta.slice(1)}}`
}

function extensions (view: View, frame: Frame, tools: FrameTools): string {
  const window = isDerived(view.kind) ? `,${windowText(frame, view)}` : ''
  const late = view.row.status === 'amended' && view.isWithdrawn !== true ? `,{"url":"${CANONICAL}/StructureDefinition/late-data-reason","valueCode":"late"}` : ''
  const text = (view.row.provenance.length === 0 ? '' : `,${provenanceText(frame, view.row.provenance, tools)}`) + window + late
  return text === '' ? '' : `,"extension":[${text.slice(1)}]`
}

function subject (view: View, frame: Frame): string {
  if (frame.mapping.file.subject === 'patient') return frame.naming.patient
  return frame.naming.readerVersion(readerVersionId(view, frame, view.row.issued))
}

function readerVersionId (view: View, frame: Frame, time: EpochMs): number | undefined {
  return deviceVersionOf(frame.naming.context, view.row.provenance[0]?.firmware ?? 0, time)?.versionId
}
