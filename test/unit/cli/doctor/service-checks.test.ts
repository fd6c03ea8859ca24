import { expect, test } from 'vitest'
import { runChecks } from '../../../../src/cli/doctor/check.ts'
import { serviceCheck } from '../../../../src/cli/doctor/service-checks.ts'
import { ServiceError } from '../../../../src/model/errors.ts'

const check = (problems: () => Promise<readonly string[]>) => runChecks([serviceCheck({ name: 'key service', well: 'all serve', todo: 'mend it', problems })])

test('a service without problems is well; each problem is told', async () => {
  expect(await check(async () => [])).toEqual([{ name: 'key service', verdict: 'ok', message: 'all serve' }])
  expect(await check(async () => ['one', 'two'])).toEqual([{ name: 'key service', verdict: 'wrong', message: 'one; two', todo: 'mend it' }])
})

test('settings that keep it from being asked are told', async () => {
  const problems = () => Promise.reject(new ServiceError('incorrect', 'CONFIG_INVALID', 'the reason'))
  expect(await check(problems)).toMatchObject([{ name: 'key service', verdict: 'wrong', message: 'the reason' }])
})
