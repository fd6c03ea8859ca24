/** Every state a window can be in, as it is served and as it is sent: what the code emits passes its own validator. */

import { expect, test } from 'vitest'
import { validateForWrite } from '../../../../src/fhir/validation/validate.ts'
import { bundleNaming, type Naming, serverNaming } from '../../../../src/fhir/views/naming.ts'
import { renderObservation } from '../../../../src/fhir/views/observation-view.ts'
import { renderProvenance } from '../../../../src/fhir/views/provenance-view.ts'
import { endedView, shownView, type View } from '../../../../src/fhir/views/view-name.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { CONTEXT, exampleTools, ROWS } from '../../../support/example-views.ts'

const MAPPING_OF = { sampled: 'tissue-po2', panel: 'panel', spo2: 'spo2', battery: 'battery-voltage', hour: 'tissue-po2' } as const
const NAMINGS: readonly (readonly [string, Naming])[] = [
  ['served', serverNaming(CONTEXT)],
  ['served, demonstration', serverNaming({ ...CONTEXT, demoMarks: [{ recordedAt: epochMs(0), isDemo: true }] })],
  ['sent', bundleNaming(CONTEXT, { system: 'urn:oid:1.2.3', value: 'MRN 1' })]
]

/** Each row as it may come to stand. */
function states (row: WindowRevision): [string, WindowRevision][] {
  const { deficit } = row
  const little = { sampleCount: 3, expectedCount: 30, coverage: 0.1 }
  return [
    ['final', row],
    ['amended', { ...row, revision: 2, status: 'amended' }],
    ['corrected', { ...row, revision: 3, status: 'corrected' }],
    ['withdrawn', { ...row, revision: 4, status: 'entered-in-error' }],
    ['uncertain', { ...row, flags: 1 }],
    ['of two makers', { ...row, provenance: [...row.provenance, { ...row.provenance[0]!, calibration: 8, firmware: 2 }] }],
    ...(row.statistics === undefined ? [] : [['of little coverage', { ...row, statistics: little }] as [string, WindowRevision]]),
    ...(deficit === undefined ? [] : [['of a deficit without value', { ...row, deficit: { threshold: deficit.threshold, maxGapMs: 3000, coverage: 0.5 } }] as [string, WindowRevision]])
  ]
}

function viewsIn (row: WindowRevision): View[] {
  return viewsOf(row).flatMap(view => [shownView(view, row), endedView(view, row)]).map(view => view.kind === 'panel' ? { ...view, member: 'spo2' } : view)
}

for (const [name, row] of Object.entries(ROWS) as [keyof typeof ROWS, WindowRevision][]) {
  const tools = exampleTools(MAPPING_OF[name])
  for (const [state, revision] of states(row)) {
    test(`a window (${name}) ${state} is valid`, () => {
      for (const [how, naming] of NAMINGS) {
        for (const view of viewsIn(revision)) {
          const resource: unknown = JSON.parse(renderObservation(view, naming, tools))
          expect([how, view.kind, view.isWithdrawn, validateForWrite(resource, { findingsMax: 9 })]).toEqual([how, view.kind, view.isWithdrawn, []])
        }
      }
    })
  }
}

test('the Provenance of a window is valid, served and sent', () => {
  const derived = viewsOf(ROWS.sampled).filter(view => view.kind === 'mean' || view.kind === 'rate').map(view => shownView(view, ROWS.sampled))
  for (const [how, naming] of NAMINGS) {
    const bundled = how === 'sent' ? { bundled: new Set(derived.map(view => view.id)) } : {}
    expect([how, validateForWrite(JSON.parse(renderProvenance(derived, naming, exampleTools('tissue-po2'), bundled)), { findingsMax: 9 })]).toEqual([how, []])
  }
})
