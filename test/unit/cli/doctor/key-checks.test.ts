import { expect, test } from 'vitest'
import { keyServiceCheck } from '../../../../src/cli/doctor/key-checks.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { runChecks } from '../../../../src/cli/doctor/check.ts'

test('keys that serve are well; each that does not is told', async () => {
  expect(await keyServiceCheck(async () => []).run()).toMatchObject({ verdict: 'ok' })
  expect(await keyServiceCheck(async () => ['one', 'two']).run()).toMatchObject({ verdict: 'wrong', message: 'one; two' })
})

test('settings that keep it from being asked are told', async () => {
  const check = keyServiceCheck(() => Promise.reject(new ServiceError('incorrect', 'CONFIG_INVALID', 'the reason')))
  expect(await runChecks([check])).toMatchObject([{ name: 'key service', verdict: 'wrong', message: 'the reason' }])
})
