import fc from 'fast-check'
import { expect, test } from 'vitest'
import { loadMappings } from '../../../../src/fhir/views/mapping.ts'
import { boundsOf, metricsOfQuery, rowStatuses } from '../../../../src/fhir/views/observation-scope.ts'
import { type DatePrefix, matchesDate } from '../../../../src/fhir/words/search-words.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { MAPPINGS, MODEL } from '../../../support/example-views.ts'

const PREFIXES: DatePrefix[] = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap']
const time = fc.integer({ min: 0, max: 60 })
const condition = fc.record({ prefix: fc.constantFrom(...PREFIXES), from: time, length: fc.integer({ min: 1, max: 10 }) })
  .map(({ prefix, from, length }) => ({ prefix, from: epochMs(from), until: epochMs(from + length) }))

test('bounds of dates leave out no range that matches', () => {
  fc.assert(fc.property(fc.array(fc.array(condition, { minLength: 1, maxLength: 3 }), { maxLength: 3 }), time, fc.integer({ min: 1, max: 10 }), (conditions, from, length) => {
    const until = from + length
    if (!conditions.every(anyOf => anyOf.some(one => matchesDate(one, from, until)))) return
    const bounds = boundsOf(conditions)
    expect(until).toBeGreaterThan(bounds.from)
    expect(from).toBeLessThan(bounds.until)
  }), { numRuns: 2_000 })
})

test('no dates are no bounds', () => {
  expect(boundsOf([])).toEqual({ from: -Infinity, until: Infinity })
})

test('codes name the metrics whose windows can hold them', () => {
  const of = (...codes: string[]) => metricsOfQuery({ codes: [codes.map(code => ({ code }))], categories: [] }, loadMappings(MAPPINGS), [MODEL])
  expect(of('tissue-po2-mean')).toEqual(['tissue-po2'])
  expect(of('2708-6')).toEqual(['spo2'])
  expect(of('spo2-samples', 'tissue-oxygen-panel')).toEqual(['spo2-samples', 'panel'])
  expect(of('nothing')).toEqual([])
  expect(metricsOfQuery({ codes: [], categories: [] }, loadMappings(MAPPINGS), [MODEL])).toBeUndefined()
})

test('entered-in-error is looked for in every row, since a row in another form ends what was before', () => {
  expect(rowStatuses(undefined)).toBeUndefined()
  expect(rowStatuses(['entered-in-error'])).toBeUndefined()
  expect(rowStatuses(['final', 'preliminary'])).toEqual(['final'])
  expect(rowStatuses(['preliminary'])).toEqual([])
})
