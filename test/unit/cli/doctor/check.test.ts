import { expect, test } from 'vitest'
import { note, ok, reasonOf, runChecks } from '../../../../src/cli/doctor/check.ts'
import { ServiceError } from '../../../../src/model/errors.ts'

test('findings come in the order of the checks, and one that throws stops no other', async () => {
  const findings = await runChecks([
    { name: 'one', run: async () => ok('fine') },
    { name: 'two', run: async () => { throw new ServiceError('incorrect', 'KEY_FILE', 'the key file is not JSON') } },
    { name: 'three', run: async () => { throw Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' }) } },
    { name: 'four', run: async () => note('noted') }
  ])
  expect(findings.map(({ name, verdict }) => [name, verdict])).toEqual([['one', 'ok'], ['two', 'wrong'], ['three', 'wrong'], ['four', 'note']])
  expect(findings[1]!.message).toBe('the key file is not JSON')
  expect(findings[2]!.message).toBe('could not be checked (nothing listens there)')
})

test('an error of PostgreSQL is told in words', () => {
  expect(reasonOf(Object.assign(new Error('password authentication failed for user "x"'), { code: '28P01' }))).toBe('the password is wrong')
  expect(reasonOf(Object.assign(new Error('x'), { code: 'XX000' }))).toBe('XX000')
})
