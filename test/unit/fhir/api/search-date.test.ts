import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matchesDate, type DatePrefix } from '../../../../src/fhir/words/search-words.ts'
import { dateRange, parseDateCondition } from '../../../../src/fhir/api/search-date.ts'
import { epochMs } from '../../../../src/model/units.ts'

const NOW = epochMs(Date.parse('2026-02-11T12:00:00Z'))
const at = (text: string): number => Date.parse(text)
const shown = (text: string): string[] | undefined => {
  const range = dateRange(text)
  return range === undefined ? undefined : [new Date(range.from).toISOString(), new Date(range.until).toISOString()]
}

test('a partial date is the whole of what it names', () => {
  expect(shown('2026')).toEqual(['2026-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'])
  expect(shown('2026-12')).toEqual(['2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'])
  expect(shown('2024-02-29')).toEqual(['2024-02-29T00:00:00.000Z', '2024-03-01T00:00:00.000Z'])
  expect(shown('2026-02-11T08:30')).toEqual(['2026-02-11T08:30:00.000Z', '2026-02-11T08:31:00.000Z'])
  expect(shown('2026-02-11T08:30:05Z')).toEqual(['2026-02-11T08:30:05.000Z', '2026-02-11T08:30:06.000Z'])
  expect(shown('2026-02-11T08:30:05.1Z')).toEqual(['2026-02-11T08:30:05.100Z', '2026-02-11T08:30:05.200Z'])
  expect(shown('2026-02-11T08:30:05.123Z')).toEqual(['2026-02-11T08:30:05.123Z', '2026-02-11T08:30:05.124Z'])
})

test('a zone moves the range, also when its plus came as a space', () => {
  for (const zone of ['+01:00', ' 01:00']) expect(shown(`2026-02-11T08:30:00${zone}`)?.[0]).toBe('2026-02-11T07:30:00.000Z')
  expect(shown('2026-02-11T08:30:00-05:30')?.[0]).toBe('2026-02-11T14:00:00.000Z')
})

test('what is no date of the calendar is none', () => {
  for (const text of ['', '26', '2026-13', '2026-02-30', '2025-02-29', '2026-1-1', '2026-02-11T24:00', '2026-02-11T08', '2026-02-11T08:61', '2026-02-11T08:30:00+15:00', 'today', '2026-02-11Z']) {
    expect([text, dateRange(text)]).toEqual([text, undefined])
  }
})

test('without a prefix it is eq, and ap widens by a tenth of the distance to now', () => {
  expect(parseDateCondition('date', '2026-02', NOW).prefix).toBe('eq')
  const near = parseDateCondition('date', 'ap2026-02-11T02:00:00.000Z', NOW)
  expect(NOW - at('2026-02-11T02:00:00.000Z')).toBe(36_000_000)
  expect(at('2026-02-11T02:00:00.000Z') - near.from).toBeGreaterThanOrEqual(3_599_999)
  expect(() => parseDateCondition('date', 'xx2026', NOW)).toThrow(expect.objectContaining({ code: 'FHIR_PARAMETER' }))
})

/** The words of R4 §3.1.1.4.5 over every millisecond of small ranges. */
function byMeaning (prefix: DatePrefix, search: readonly [number, number], target: readonly [number, number]): boolean {
  const within = target[0] >= search[0] && target[1] <= search[1]
  const points = Array.from({ length: target[1] - target[0] }, (_, index) => target[0] + index)
  switch (prefix) {
    case 'eq': return within
    case 'ne': return !within
    case 'gt': return points.some(point => point >= search[1])
    case 'lt': return points.some(point => point < search[0])
    case 'ge': return points.some(point => point >= search[1]) || within
    case 'le': return points.some(point => point < search[0]) || within
    case 'sa': return points.every(point => point >= search[1])
    case 'eb': return points.every(point => point < search[0])
    case 'ap': return points.some(point => point >= search[0] && point < search[1])
  }
}

test('every prefix means what the specification says of ranges', () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 8 })).map(([from, length]) => [from, from + length] as const)
  fc.assert(fc.property(range, range, fc.constantFrom<DatePrefix>('eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'), (search, target, prefix) => {
    expect(matchesDate({ prefix, from: epochMs(search[0]), until: epochMs(search[1]) }, target[0], target[1])).toBe(byMeaning(prefix, search, target))
  }), { numRuns: 2_000 })
})
