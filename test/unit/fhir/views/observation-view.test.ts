import { describe, expect, test } from 'vitest'
import { renderObservation } from '../../../../src/fhir/views/observation-view.ts'
import { serverNaming } from '../../../../src/fhir/views/naming.ts'
import type { View } from '../../../../src/fhir/views/view-name.ts'
import { viewId } from '../../../../src/model/identifier.ts'
import { viewName } from '../../../../src/model/view-ids.ts'
import { FLAG } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { CONTEXT, EXAMPLES_MISSING, example, exampleTools, ROWS } from '../../../support/example-views.ts'

const NAMING = serverNaming(CONTEXT)

type Sketch = Omit<View, 'id'>

function identified (view: Sketch): View {
  const { kind, name } = viewName(view.row, view.kind, view.sample)
  return { id: viewId(kind, view.row.sid, name), ...view }
}

function text (view: Sketch, mapping: string): string { return renderObservation(identified(view), NAMING, exampleTools(mapping)) }

function rendered (view: Sketch, mapping = 'tissue-po2'): Record<string, unknown> {
  return JSON.parse(text(view, mapping)) as Record<string, unknown>
}

/** The examples leave out when a version was written. */
function withoutLastUpdated (resource: Record<string, unknown>): unknown {
  const { lastUpdated: _lastUpdated, ...meta } = resource['meta'] as Record<string, unknown>
  return { ...resource, meta }
}

const DERIVED_DIGEST = 'sha256:878a52fc5ff6a57d50b7b870aa51637a3dfd38fc22352a39f95a3c292eb976d5'
const EXAMPLES: [name: string, mapping: string, view: Sketch][] = [
  ['04-observation-sampled-window', 'tissue-po2', { kind: 'sampled', row: ROWS.sampled }],
  ['05-observation-panel', 'panel', { kind: 'panel', row: ROWS.panel, member: 'spo2' }],
  ['06-observation-spo2', 'spo2', { kind: 'numeric', row: ROWS.spo2 }],
  ['07-observation-battery', 'battery-voltage', { kind: 'numeric', row: ROWS.battery }],
  ['08-derived-rolling-mean', 'tissue-po2', { kind: 'mean', row: ROWS.sampled }],
  ['09-derived-rate', 'tissue-po2', { kind: 'rate', row: ROWS.sampled }],
  ['10-derived-deficit', 'tissue-po2', { kind: 'deficit', row: ROWS.hour, source: { sizeMs: 30_000, digest: DERIVED_DIGEST } }]
]

describe.skipIf(EXAMPLES_MISSING)(`equal to the examples${EXAMPLES_MISSING === undefined ? '' : `: ${EXAMPLES_MISSING}`}`, () => {
  for (const [name, mapping, view] of EXAMPLES) {
    test(`example ${name}`, () => {
      const { meta, ...rest } = example(name)
      const found = rendered(view, mapping)
      expect(withoutLastUpdated(found)).toEqual({ meta, ...rest })
      expect(Object.keys(found)).toEqual(Object.keys(example(name)))
    })
  }
})

test('versionId is the revision and lastUpdated the time of issue', () => {
  const { meta, issued } = rendered({ kind: 'sampled', row: ROWS.sampled })
  expect(meta).toMatchObject({ versionId: '1', lastUpdated: '2026-02-11T08:30:41.050Z' })
  expect(issued).toBe('2026-02-11T08:30:41.050Z')
})

test('the same input gives the same bytes, from a fresh frame and from a kept one', () => {
  const tools = exampleTools('tissue-po2')
  const view = identified({ kind: 'sampled', row: ROWS.sampled })
  const first = renderObservation(view, NAMING, tools)
  expect(renderObservation(view, NAMING, tools)).toBe(first)
  expect(renderObservation(view, serverNaming({ ...CONTEXT }), exampleTools('tissue-po2'))).toBe(first)
})

test('another calibration in the same frame does not leak into the next revision', () => {
  const tools = exampleTools('tissue-po2')
  const context = { ...CONTEXT, calibrations: new Map([[7, 'cal-a'], [8, 'cal-b']]) }
  const naming = serverNaming(context)
  const [entry] = ROWS.sampled.provenance
  const second: WindowRevision = { ...ROWS.sampled, provenance: [entry!, { ...entry!, calibration: 8 }] }
  renderObservation(identified({ kind: 'sampled', row: ROWS.sampled }), naming, tools)
  const text = renderObservation(identified({ kind: 'sampled', row: second }), naming, tools)
  expect(text.match(/cal-[ab]/g)).toEqual(['cal-a', 'cal-b'])
})

test('a flagged window is uncertain and questionable, an unflagged one says nothing', () => {
  const found = rendered({ kind: 'sampled', row: { ...ROWS.sampled, flags: FLAG.slew } })
  expect(found['interpretation']).toEqual([{ coding: [{ system: 'http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status', code: 'questionable' }] }])
  expect(found['meta']).toMatchObject({ security: [{ code: 'UNCERTREL' }] })
  expect(rendered({ kind: 'sampled', row: ROWS.sampled })).not.toHaveProperty('interpretation')
})

test('a mean below the needed coverage has no value, a reason, and its coverage', () => {
  const { mean: _mean, ratePerMinute: _rate, ...statistics } = ROWS.sampled.statistics
  const found = rendered({ kind: 'mean', row: { ...ROWS.sampled, statistics: { ...statistics, sampleCount: 10, coverage: 10 / 30 } } })
  expect(found).not.toHaveProperty('valueQuantity')
  expect(found['dataAbsentReason']).toMatchObject({ coding: [{ code: 'error' }], text: 'coverage' })
  expect(found['component']).toMatchObject([{ valueQuantity: { value: 33.3 } }])
  expect(found['meta']).toMatchObject({ security: [{ code: 'UNRELIABLE' }] })
  expect(found).not.toHaveProperty('interpretation')
})

test('a deficit below the needed coverage keeps threshold, gap and coverage only', () => {
  const row = { ...ROWS.hour, deficit: { threshold: 25, maxGapMs: 3000, coverage: 0.5 } }
  const found = rendered({ kind: 'deficit', row })
  expect(found).not.toHaveProperty('valueQuantity')
  const codes = (found['component'] as { code: { coding: { code: string }[] } }[]).map(component => component.code.coding[0]!.code)
  expect(codes).toEqual(['deficit-threshold', 'coverage-fraction', 'deficit-max-gap', 'deficit-algorithm'])
})

test('a withdrawn window keeps its identifier and drops its values', () => {
  const { statistics: _statistics, ...rest } = ROWS.sampled
  const row: WindowRevision = { ...rest, revision: 2, status: 'entered-in-error', form: { form: 'empty' } }
  const before = rendered({ kind: 'sampled', row: ROWS.sampled })
  for (const kind of ['sampled', 'mean', 'rate', 'deficit'] as const) {
    const found = rendered({ kind, row })
    expect(found['status']).toBe('entered-in-error')
    for (const element of ['valueSampledData', 'valueQuantity', 'component', 'derivedFrom', 'dataAbsentReason']) expect(found).not.toHaveProperty(element)
  }
  expect(rendered({ kind: 'sampled', row })['identifier']).toEqual(before['identifier'])
})

test('a view whose window took the other form ends as entered-in-error', () => {
  const row: WindowRevision = { ...ROWS.sampled, revision: 2, status: 'amended', form: { form: 'singles', samples: [] } }
  expect(rendered({ kind: 'sampled', row, isWithdrawn: true })['status']).toBe('entered-in-error')
})

test('an amended window names why', () => {
  const found = rendered({ kind: 'sampled', row: { ...ROWS.sampled, revision: 2, status: 'amended' } })
  expect((found['extension'] as { url: string }[]).at(-1)).toMatchObject({ url: expect.stringContaining('late-data-reason') })
})

test('a reading on its own is named by its time, and by its sequence when it has one', () => {
  const takenAt = epochMs(ROWS.sampled.windowStart + 1234)
  const row: WindowRevision = { ...ROWS.sampled, form: { form: 'singles', samples: [] } }
  const value = (sequence: number) => (rendered({ kind: 'single', row, sample: { takenAt, sequence, value: 40.26 } })['identifier'] as { value: string }[])[0]!.value
  expect(value(0)).toBe('assoc-000042-3/tissue-po2/2026-02-11T08:30:01.234Z/PT0S')
  expect(value(2)).toBe('assoc-000042-3/tissue-po2/2026-02-11T08:30:01.234Z/PT0S/2')
  expect(rendered({ kind: 'single', row, sample: { takenAt, sequence: 0, value: 40.26 } })['valueQuantity']).toMatchObject({ value: 40.3 })
})

test('a derived value names up to twenty readings, then their range', () => {
  const samples = (count: number) => Array.from({ length: count }, (_, index) => ({ takenAt: epochMs(ROWS.sampled.windowStart + index), sequence: 0, value: 40 }))
  const sources = (count: number) => rendered({ kind: 'mean', row: { ...ROWS.sampled, form: { form: 'singles', samples: samples(count) } } })['derivedFrom'] as object[]
  expect(sources(20)).toHaveLength(20)
  expect(sources(21)).toEqual([{ type: 'Observation', identifier: expect.objectContaining({ value: 'assoc-000042-3/tissue-po2/2026-02-11T08:30:00.000Z/2026-02-11T08:30:30.000Z/PT0S' }) }])
})

test('the period of a grid begins with its first token and counts whole slots', () => {
  const form = { form: 'sampled' as const, gridStart: epochMs(ROWS.sampled.windowStart + 300), periodMs: 99.07, tokenCount: 3, data: '1 2 3' }
  expect(rendered({ kind: 'sampled', row: { ...ROWS.sampled, form } })['effectivePeriod']).toEqual({ start: '2026-02-11T08:30:00.300Z', end: '2026-02-11T08:30:00.597Z' })
})

test('tissue oxygen carries no code of arterial saturation and no vital-signs category', () => {
  for (const kind of ['sampled', 'mean', 'rate'] as const) {
    expect(text({ kind, row: ROWS.sampled }, 'tissue-po2')).not.toMatch(/2708-6|59408-5|150456|vital-signs|loinc/)
  }
})

test('a demonstration patient is marked in every view', () => {
  const naming = serverNaming({ ...CONTEXT, demoMarks: [{ recordedAt: epochMs(0), isDemo: true }] })
  const found = JSON.parse(renderObservation(identified({ kind: 'sampled', row: ROWS.sampled }), naming, exampleTools('tissue-po2'))) as { meta: object }
  expect(found.meta).toMatchObject({ tag: [{ code: 'DEMO' }] })
})

test('the id of the window is the check value of the design', () => {
  expect(rendered({ kind: 'sampled', row: ROWS.sampled })['id']).toBe('6997cdea-13ed-58aa-b1de-4ab49a7a7d95')
})

test('samples of a device without a DeviceMetric for them name the device and no profile that wants one', () => {
  const found = rendered({ kind: 'sampled', row: { ...ROWS.sampled, metric: 'signal-quality-index' } }, 'signal-quality-index')
  expect(found['device']).toEqual({ reference: 'Device/dev-000042' })
  expect(found['meta']).not.toHaveProperty('profile')
})
