import { expect, test } from 'vitest'
import { buildBundle, entryCount, packParts, partsOf } from '../../../../src/fhir/egress/bundle.ts'
import { bundleNaming } from '../../../../src/fhir/views/naming.ts'
import { shownView } from '../../../../src/fhir/views/view-name.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { at, CONTEXT, EXAMPLES_MISSING, example, exampleTools, ROWS } from '../../../support/example-views.ts'

const NAMING = bundleNaming(CONTEXT, { system: 'urn:oid:2.16.840.1.113883.19.5', value: 'MRN-4711' })

interface Bundle { entry: { resource: { resourceType: string, derivedFrom?: object[] }, request: { method: string, url: string, ifNoneExist?: string } }[] }

function views (row: WindowRevision) { return viewsOf(row).map(view => shownView(view, row)) }

function build (row: WindowRevision): Bundle {
  return JSON.parse(buildBundle(partsOf(views(row), 100), NAMING, exampleTools('tissue-po2'), { timestamp: at('2026-02-11T08:30:41.100Z') })) as Bundle
}

test.skipIf(EXAMPLES_MISSING)(`equal to example 19${EXAMPLES_MISSING === undefined ? '' : `: ${EXAMPLES_MISSING}`}`, () => {
  const parts = partsOf(views(ROWS.sampled).filter(view => view.kind !== 'rate'), 100)
  const times = { timestamp: at('2026-02-11T08:30:41.100Z'), recorded: at('2026-02-11T08:30:41.060Z') }
  expect(JSON.parse(buildBundle(parts, NAMING, exampleTools('tissue-po2'), times))).toEqual(example('19-bundle-transaction'))
})

test('revision 1 is created unless it exists, a later one updates what has its identifier', () => {
  const first = build(ROWS.sampled).entry
  const second = build({ ...ROWS.sampled, revision: 2, status: 'amended' }).entry
  expect(first.map(entry => entry.request.method)).toEqual(['POST', 'POST', 'POST', 'POST'])
  expect(second.map(entry => entry.request.method)).toEqual(['PUT', 'PUT', 'PUT', 'POST'])
  expect(second[0]!.request.url).toBe(`Observation?${first[0]!.request.ifNoneExist}`)
})

test('Provenance stands behind all Observations', () => {
  const parts = [...partsOf(views(ROWS.sampled), 100), ...partsOf(views({ ...ROWS.sampled, windowStart: epochMs(ROWS.sampled.windowStart + 30_000) }), 100)]
  const bundle = JSON.parse(buildBundle(parts, NAMING, exampleTools('tissue-po2'), { timestamp: at('2026-02-11T08:30:41.100Z') })) as Bundle
  expect(bundle.entry.map(entry => entry.resource.resourceType)).toEqual([...Array(6).fill('Observation'), 'Provenance', 'Provenance'])
})

test('nothing in a Bundle names a sid, a logical id of ours as a reference, or a version', () => {
  const text = JSON.stringify(build(ROWS.sampled))
  expect(text).not.toMatch(/s1[0-7][0-9a-hjkmnp-tv-z]{26}|"(Patient|Device|DeviceMetric)\/|_history|"id"/)
})

test('a window served reading by reading is cut into parts that fit, derived values and Provenance last', () => {
  const samples = Array.from({ length: 250 }, (_, index) => ({ takenAt: epochMs(ROWS.sampled.windowStart + index * 100), sequence: 0, value: 40 }))
  const parts = partsOf(views({ ...ROWS.sampled, form: { form: 'singles', samples } }), 100)
  expect(parts.map(entryCount)).toEqual([100, 100, 53])
  expect(parts.at(-1)!.derived.map(view => view.kind)).toEqual(['mean', 'rate'])
})

test('parts fill a Bundle up to its limit and are never cut', () => {
  const parts = [0, 1, 2, 3, 4].map(place => ({ part: partsOf(views({ ...ROWS.sampled, windowStart: epochMs(ROWS.sampled.windowStart + place * 30_000) }), 100)[0]! }))
  expect(packParts(parts, 10).map(bundle => bundle.length)).toEqual([2, 2, 1])
})

test('two revisions of one window never stand in one Bundle', () => {
  const parts = [1, 2, 3].map(revision => ({ part: partsOf(views({ ...ROWS.sampled, revision }), 100)[0]! }))
  expect(packParts(parts, 100).map(bundle => bundle.length)).toEqual([1, 1, 1])
})

test('a source outside the Bundle is named by its identifier', () => {
  const mean = views(ROWS.sampled).filter(view => view.kind === 'mean')
  const bundle = JSON.parse(buildBundle([{ views: mean, derived: [] }], NAMING, exampleTools('tissue-po2'), { timestamp: at('2026-02-11T08:30:41.100Z') })) as Bundle
  expect(bundle.entry[0]!.resource.derivedFrom).toEqual([{ type: 'Observation', identifier: { system: 'https://oxbow-fhir.github.io/ig/identifier/telemetry-window', value: 'assoc-000042-3/tissue-po2/2026-02-11T08:30:00.000Z/PT30S' } }])
})
