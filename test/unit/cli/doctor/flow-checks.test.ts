import { expect, test } from 'vitest'
import { runChecks } from '../../../../src/cli/doctor/check.ts'
import { flowChecks, type FlowParts } from '../../../../src/cli/doctor/flow-checks.ts'
import { epochMs } from '../../../../src/model/units.ts'

const HOUR = epochMs(Date.parse('2026-03-05T14:00:00Z'))
const DOOR = { hour: HOUR, received: 12, accepted: 10, quarantined: 2, returned: 0, repeated: 0, released: 0, fieldsResubmitted: 0 }

async function findings (parts: Partial<FlowParts> = {}) {
  const all: FlowParts = {
    door: async () => [DOOR],
    ends: async () => new Map([[0, 5], [1, 3]]),
    resumePoints: async () => new Map([[0, 5], [1, 3]]),
    stored: async () => new Map([[HOUR, { accepted: 10, stored: 9, duplicate: 1, conflict: 0 }]]),
    openItems: async () => [],
    openJobs: async () => ({ relabel: 0, recalibration: 0 }),
    ...parts
  }
  return new Map((await runChecks(flowChecks(all))).map(finding => [finding.name, finding]))
}

test('the sum is told', async () => {
  expect((await findings()).get('counters')).toEqual({ name: 'counters', verdict: 'ok', message: 'received 12 = stored 9 + quarantined 2 + suppressed 1, in each of 1 hours' })
})

test('readings on the bus are on the way', async () => {
  const found = await findings({ resumePoints: async () => new Map([[0, 4]]), stored: async () => new Map([[HOUR, { accepted: 6, stored: 6, duplicate: 0, conflict: 0 }]]) })
  expect(found.get('counters')).toMatchObject({ verdict: 'ok', message: expect.stringContaining('on the way 4') })
})

test('readings that are nowhere are wrong, with their hour', async () => {
  const found = await findings({ stored: async () => new Map() })
  expect(found.get('counters')).toMatchObject({ verdict: 'wrong', message: '10 readings were accepted and are neither stored nor suppressed, in 2026-03-05T14h' })
})

test('counts of the store that do not add up are wrong', async () => {
  const found = await findings({ stored: async () => new Map([[HOUR, { accepted: 11, stored: 9, duplicate: 1, conflict: 0 }]]) })
  expect(found.get('counters')!.verdict).toBe('wrong')
})

test('counts that the door has not written yet, or lost in a crash, are noted', async () => {
  const found = await findings({ stored: async () => new Map([[HOUR, { accepted: 14, stored: 14, duplicate: 0, conflict: 0 }]]) })
  expect(found.get('counters')).toMatchObject({ verdict: 'note', message: expect.stringContaining('received 16 = stored 14 + quarantined 2 + suppressed 0; the door has not counted 4 of them yet') })
})

test('open items are told by reason; what is held needs somebody', async () => {
  const waiting = await findings({ openItems: async () => [{ reason: 'not-associated', waiting: 3, held: 0, overdue: 3 }] })
  expect(waiting.get('quarantine')).toMatchObject({ verdict: 'note', message: '3 items are open: not-associated 3', todo: expect.stringContaining('by themselves') })
  const held = await findings({ openItems: async () => [{ reason: 'range-hard', waiting: 0, held: 2, overdue: 0 }] })
  expect(held.get('quarantine')!.todo).toContain('oxbow quarantine resubmit')
})

test('readings that stay behind older ones for more than a minute are wrong', async () => {
  const found = await findings({ openItems: async () => [{ reason: 'behind-waiting', waiting: 3, held: 0, overdue: 2 }] })
  expect(found.get('quarantine')).toMatchObject({ verdict: 'wrong', message: expect.stringContaining('2 readings') })
  const passing = await findings({ openItems: async () => [{ reason: 'behind-waiting', waiting: 3, held: 0, overdue: 0 }] })
  expect(passing.get('quarantine')!.verdict).toBe('note')
})

test('open jobs are noted', async () => {
  expect((await findings({ openJobs: async () => ({ relabel: 1, recalibration: 2 }) })).get('jobs')).toMatchObject({ verdict: 'note', message: 'open: 1 of relabelling, 2 of recalibration' })
})
