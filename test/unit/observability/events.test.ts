import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { ServiceError } from '../../../src/model/errors.ts'
import { createEvents, type Events, jobReport } from '../../../src/observability/events.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { epochMs } from '../../../src/model/units.ts'

let time = 0

function observed (run: (events: Events) => void): { registry: Registry, lines: string[] } {
  const registry = new Registry()
  const lines: string[] = []
  run(createEvents(registry, createLogger('debug', line => { lines.push(line) }), () => epochMs(time)))
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

test('an alarm of several parts is over when it is over for all of them', () => {
  const { lines } = observed(events => {
    events.raise('egress-failing', {}, 'one')
    events.raise('egress-failing', {}, 'other')
    events.clear('egress-failing', 'one')
    expect(events.raisedAlarms()).toEqual(['egress-failing'])
    events.clear('egress-failing', 'other')
    expect(events.raisedAlarms()).toEqual([])
  })
  expect(lines.filter(line => line.includes('over')).length).toBe(1)
})

test('a job that fails stands by its own name, and another one that is fine does not end it', () => {
  const { lines } = observed(events => {
    const [failing, fine] = [jobReport(events, 'expiry'), jobReport(events, 'relabelling')]
    failing.failing(new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'gone'))
    fine.fine()
    expect(events.raisedAlarms()).toEqual(['job-failing'])
    failing.fine()
    expect(events.raisedAlarms()).toEqual([])
  })
  expect(lines[0]).toContain('"detail":"expiry"')
  expect(lines[0]).toContain('"code":"STORE_UNAVAILABLE"')
  expect(lines[0]).toContain('"stack"')
})

test('what happened once stands for a day after the last time', () => {
  time = 0
  observed(events => {
    events.raise('reading-conflict')
    time = 3_600_000
    events.raise('reading-conflict')
    time += 86_400_000 - 1
    expect(events.raisedAlarms()).toEqual(['reading-conflict'])
    time += 1
    expect(events.raisedAlarms()).toEqual([])
  })
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
