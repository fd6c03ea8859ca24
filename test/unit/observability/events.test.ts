import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createEvents, type Events } from '../../../src/observability/events.ts'
import { createLogger } from '../../../src/observability/logger.ts'

function observed (run: (events: Events) => void): { registry: Registry, lines: string[] } {
  const registry = new Registry()
  const lines: string[] = []
  run(createEvents(registry, createLogger('debug', line => { lines.push(line) })))
  return { registry, lines }
}

test('an operational alarm is a log line, a counter and an entry until it is over', async () => {
  let during: readonly string[] = []
  let after: readonly string[] = []
  const { registry, lines } = observed(events => {
    events.raise('bus-failed', { detail: 'no answer' })
    events.raise('bus-failed')
    during = events.raisedAlarms()
    events.clear('bus-failed')
    after = events.raisedAlarms()
  })
  expect([during, after]).toEqual([['bus-failed'], []])
  expect(await registry.metrics()).toContain('oxbow_operational_alarms_total{alarm="bus-failed"} 2')
  expect(lines.filter(line => line.includes('"event":"bus-failed"')).length).toBe(3)
})

test('an alarm that was not raised is not reported as over', () => {
  expect(observed(events => { events.clear('disk-low') }).lines).toEqual([])
})

test('the backlog is asked for when metrics are read', async () => {
  let records = 0
  const { registry } = observed(events => { events.watchBacklog('oxbow.readings.v1', () => records) })
  records = 17
  expect(await registry.metrics()).toContain('oxbow_bus_backlog_records{topic="oxbow.readings.v1"} 17')
})

test('readings are counted by what became of them', async () => {
  const { registry } = observed(events => {
    events.accepted(5)
    events.stored(3)
    events.suppressed('duplicate', 2)
    events.quarantined('range-hard', 1)
    events.refused(413)
  })
  const text = await registry.metrics()
  for (const line of ['readings_accepted_total 5', 'readings_stored_total 3', 'readings_suppressed_total{kind="duplicate"} 2', 'quarantined_total{reason="range-hard"} 1', 'requests_refused_total{status="413"} 1']) {
    expect(text).toContain(`oxbow_${line}`)
  }
})
