import { expect, test } from 'vitest'
import { busCheck } from '../../../../src/cli/doctor/bus-checks.ts'
import type { Difference } from '../../../../src/platform/bus/kafka/govern-topics.ts'

const found = (...differences: Difference[]) => busCheck({ kind: 'kafka', differences: async () => differences }).run()
const retention: Difference = { topic: 't', what: 'setting', name: 'retention.ms', is: '604800000', wants: '-1' }

test('the embedded bus is asked nothing', async () => {
  const check = busCheck({ kind: 'embedded', differences: async () => { throw new Error('asked') } })
  expect(await check.run()).toEqual({ verdict: 'ok', message: 'embedded in PostgreSQL' })
})

test('topics as the settings want them are well', async () => {
  expect((await found()).verdict).toBe('ok')
})

test.each<Difference>([
  { topic: 't', what: 'topic', wants: '8 partitions' }, retention, { topic: 't', what: 'replicas', is: '1', wants: '3' }, { topic: 't', what: 'setting', name: 'cleanup.policy', is: 'compact', wants: 'delete' }
])('what can lose readings is wrong: %j', async difference => {
  expect(await found(difference)).toMatchObject({ verdict: 'wrong', message: expect.stringMatching(/^t/), todo: expect.stringContaining('oxbow topics apply') })
})

test.each<Difference>([
  { topic: 't', what: 'partitions', is: '4', wants: '8' }, { topic: 't', what: 'setting', name: 'max.message.bytes', is: '1048588', wants: '17825792' }
])('what only makes less room is a note: %j', async difference => {
  expect(await found(difference)).toMatchObject({ verdict: 'note', message: expect.stringContaining(difference.is!) })
})
