import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dayOf, dayParameter, numberArray, parseTime, textArray, timeParameter } from '../../../../src/stores/series/sql-values.ts'

test('times as PostgreSQL writes them are read to the ms', () => {
  fc.assert(fc.property(fc.integer({ min: Date.UTC(1, 0), max: Date.UTC(9999, 0) }), time => {
    const iso = new Date(time).toISOString()
    const fraction = iso.slice(19, 23).replace(/\.?0+$/, '')
    expect(parseTime(`${iso.slice(0, 10)} ${iso.slice(11, 19)}${fraction}+00`)).toBe(time)
  }))
})

test('a session in another zone changes no time', () => {
  const time = Date.UTC(2026, 1, 11, 8, 30, 0, 120)
  expect([parseTime('2026-02-11 09:30:00.12+01'), parseTime('2026-02-11 14:00:00.12+05:30'), parseTime('2026-02-11 05:00:00.12-03:30')]).toEqual([time, time, time])
})

test('microseconds are cut', () => {
  expect(parseTime('2026-02-11 08:30:00.123999+00')).toBe(Date.UTC(2026, 1, 11, 8, 30, 0, 123))
})

test('times beyond the years that SQL can hold become the nearest that it can', () => {
  expect([timeParameter(-Infinity), timeParameter(Infinity), timeParameter(Number.MIN_SAFE_INTEGER)])
    .toEqual(['0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z', '0001-01-01T00:00:00.000Z'])
})

test('days count from 1970, also before it', () => {
  expect([dayOf(-1), dayOf(0), dayOf(86_399_999)]).toEqual([-1, 0, 0])
  expect(dayParameter(20_495)).toBe('2026-02-11')
})

test('a literal holds numbers and quoted text, and nothing gets out of it', () => {
  expect(numberArray([1, -0.5, 1e21])).toBe("'{1,-0.5,1e+21}'")
  expect(numberArray(["1}'; drop table x; --" as unknown as number])).toBe("'{NaN}'")
  expect(textArray(["a'b", 'c'])).toBe("array['a''b','c']")
})
