import { expect, test } from 'vitest'
import { createLogger, type LogFields } from '../../../src/observability/logger.ts'

function logged (run: (log: ReturnType<typeof createLogger>) => void, level: 'debug' | 'info' | 'warn' = 'info'): Record<string, unknown>[] {
  const lines: string[] = []
  run(createLogger(level, line => { lines.push(line) }))
  return lines.map(line => JSON.parse(line) as Record<string, unknown>)
}

test('a line holds level, time, message and the named fields', () => {
  const [line] = logged(log => { log.warn('quarantined', { reason: 'time-future', count: 3 }) })
  expect(line).toMatchObject({ level: 'warn', msg: 'quarantined', reason: 'time-future', count: 3 })
  expect(Object.keys(line!).sort()).toEqual(['count', 'level', 'msg', 'reason', 'time'])
})

test('a field that is not on the list is dropped, not masked', () => {
  const fields = { count: 1, patient: 'Robin Example', url: '/fhir/Patient?name=Robin' } as LogFields
  expect(JSON.stringify(logged(log => { log.info('something', fields) }))).not.toMatch(/Robin|patient|url/)
})

test('what lies below the level is not written', () => {
  expect(logged(log => { log.info('quiet') }, 'warn')).toEqual([])
})
