import { expect, test } from 'vitest'
import type { ObservationQuery } from '../../../../src/fhir/views/observation-query.ts'
import { knownParameters, observationQuery, SEARCH_PARAMETERS, type SearchContext, storedQuery } from '../../../../src/fhir/api/search-parameters.ts'
import { parseSearchRequest } from '../../../../src/fhir/api/search-request.ts'
import { epochMs } from '../../../../src/model/units.ts'

const CONTEXT: SearchContext = { now: epochMs(Date.UTC(2026, 1, 11)), baseUrl: 'https://h/fhir', countDefault: 100, countMax: 1_500 }

function parse (query: string, form?: string, lenient = false) {
  return parseSearchRequest({ query, ...(form === undefined ? {} : { form }) }, knownParameters('Observation'), { lenient })
}
function asked (query: string): ObservationQuery { return observationQuery(parse(query).pairs, CONTEXT) }
const refused = expect.objectContaining({ category: 'incorrect', code: 'FHIR_PARAMETER' })

test('an empty search asks for everything, newest first', () => {
  expect(asked('')).toEqual({
    codes: [], categories: [], identifiers: [], dates: [], lastUpdated: [], derivedFrom: [],
    sort: [{ by: 'date', descending: true }], count: 100, total: 'none'
  })
})

test('commas are any of, repetitions are all of', () => {
  expect(asked('code=a,sys|b&code=|c&category=sys|').codes).toEqual([[{ code: 'a' }, { system: 'sys', code: 'b' }], [{ system: '', code: 'c' }]])
  expect(asked('category=sys|').categories).toEqual([[{ system: 'sys' }]])
  expect(asked('date=ge2026-01&date=lt2026-03,2027').dates.map(list => list.map(({ prefix }) => prefix))).toEqual([['ge'], ['lt', 'eq']])
  expect(asked('_id=a,b&_id=b,c').ids).toEqual(['b'])
  expect(asked('_id=a&_id=b').ids).toEqual([])
  expect(asked('status=final,amended&status=http://hl7.org/fhir/observation-status|final').statuses).toEqual(['final'])
})

test('patient and subject meet', () => {
  expect(asked('patient=p1,Patient/p2').subjects).toEqual([{ type: 'Patient', id: 'p1' }, { type: 'Patient', id: 'p2' }])
  expect(asked('subject=x').subjects).toEqual([{ type: 'Patient', id: 'x' }, { type: 'Device', id: 'x' }])
  expect(asked('subject:Device=x&patient=x').subjects).toEqual([])
  expect(asked('subject=https://h/fhir/Patient/p1&patient=p1').subjects).toEqual([{ type: 'Patient', id: 'p1' }])
  expect(asked('derived-from=Observation/o/_history/2').derivedFrom).toEqual([[{ id: 'o', versionId: '2' }]])
})

test('escapes keep commas and bars in values', () => {
  expect(asked('identifier=sys|a\\,b\\|c').identifiers).toEqual([[{ system: 'sys', code: 'a,b|c' }]])
})

test('what cannot be read is refused, never guessed', () => {
  for (const query of [
    'colour=red', 'code:in=x', 'code=a|b|c', 'code=|', 'patient=Device/x', 'subject=Group/x', 'patient=https://elsewhere/Patient/p', 'subject:identifier=x', 'subject:Patient.name=x',
    'patient:Patient=Device/x', 'date=soon', 'date:missing=true', '_count=-1', '_count=ten', '_count=1&_count=2', '_sort=code', '_sort=date,date', '_total=maybe', '_summary=true', '_include=x', '_has:Provenance:target:x=y', 'status=http://hl7.org/fhir/observation-status|'
  ]) expect(() => asked(query), query).toThrow(refused)
  expect(() => asked(`_id=${'a,'.repeat(300)}`)).toThrow(refused)
  expect(() => asked(`_id=${'a'.repeat(20_000)}`)).toThrow(refused)
})

test('what a refusal shows is never the value of a parameter', () => {
  for (const query of ['<script>=1', 'code:%22secret%22=x', 'date=secret']) {
    expect(() => asked(query)).toThrow(expect.objectContaining({ message: expect.not.stringMatching(/script|secret/) }))
  }
})

test('a lenient caller has unknown parameters ignored and named, but no unknown modifier', () => {
  expect(parse('colour=red&patient=p', undefined, true)).toEqual({ pairs: [{ name: 'patient', value: 'p' }], ignored: ['colour'] })
  expect(() => observationQuery(parse('code:in=x', undefined, true).pairs, CONTEXT)).toThrow(refused)
})

test('format is no condition', () => {
  expect(parse('_format=json&_pretty=true')).toEqual({ pairs: [], ignored: [] })
})

test('a parameter without a value is refused: a client that lost its patient must not read about everybody', () => {
  expect(() => parse('patient=&code=c')).toThrow(refused)
  expect(parse('patient=&code=c', undefined, true)).toEqual({ pairs: [{ name: 'code', value: 'c' }], ignored: ['patient'] })
})

test('a form body joins the query unless they contradict', () => {
  expect(parse('patient=p', 'code=c&patient=p').pairs).toEqual([{ name: 'code', value: 'c' }, { name: 'patient', value: 'p' }])
  expect(() => parse('patient=p', 'patient=q')).toThrow(refused)
})

test('counts have a default and a limit, and zero asks for the total', () => {
  expect(asked('_count=5000').count).toBe(1_500)
  expect(asked('_count=0')).toMatchObject({ count: 0, total: 'accurate' })
  expect(asked('_summary=count&_count=7')).toMatchObject({ count: 0, total: 'accurate' })
  expect(asked('_sort=-_lastUpdated,date').sort).toEqual([{ by: '_lastUpdated', descending: true }, { by: 'date', descending: false }])
})

test('stored types are searched by reference as well', () => {
  const { pairs } = parseSearchRequest({ query: 'device=Device/d&patient=p,q&subject=Patient/q&_sort=_lastUpdated' }, knownParameters('DeviceUseStatement'), { lenient: false })
  expect(storedQuery(pairs, CONTEXT)).toMatchObject({ devices: ['d'], patients: ['q'], descending: false })
})

test('each parameter stands once in its table', () => {
  for (const [type, parameters] of Object.entries(SEARCH_PARAMETERS)) expect([type, new Set(parameters.map(({ name }) => name)).size]).toEqual([type, parameters.length])
})
