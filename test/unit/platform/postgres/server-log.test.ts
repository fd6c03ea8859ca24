import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLogFilter } from '../../../../src/platform/postgres/server-log.ts'

const AT = '2026-01-01 00:00:00.000 UTC'
const started = `${AT} [7] 00000 LOG:  starting PostgreSQL\n`
const denied = `${AT} [9] 42501 oxbow_series@oxbow_series ERROR:  permission denied for table resource\n`
const value = `${AT} [9] 22P02 oxbow_series@oxbow_series ERROR:  invalid input syntax for type integer: "Erika\n\t${denied}`

test('what the server does and each denial is kept, any other error and its further lines are not', () => {
  const fatal = `${AT} [9] 28P01 oxbow_bus@oxbow_bus FATAL:  password authentication failed for user "oxbow_bus"\n`
  expect(createLogFilter()(started + value + denied + `${AT} [9] 42501 a@b STATEMENT:  SELECT 'Erika'\n` + fatal)).toBe(started + denied + fatal)
})

test('why a server does not start is kept', () => {
  const reason = 'postgres: could not access the server configuration file\n'
  expect(createLogFilter()(reason)).toBe(reason)
  expect(createLogFilter()(started + reason)).toBe(started)
})

test('the pieces in which the text comes make no difference', () => {
  const text = started + value + denied
  fc.assert(fc.property(fc.array(fc.nat(text.length)), cuts => {
    const filter = createLogFilter()
    const ends = [...cuts.sort((a, b) => a - b), text.length]
    expect(ends.map((end, i) => filter(text.slice(ends[i - 1] ?? 0, end))).join('')).toBe(started + denied)
  }))
})

test('a line without end is not kept in memory', () => {
  const filter = createLogFilter()
  filter(started)
  for (let i = 0; i < 1_000; i++) filter('x'.repeat(65_536))
  expect(filter(`\n${denied}`)).toBe(denied)
})
