/** What the pages for operators promise to list is listed. */

import { readFileSync } from 'node:fs'
import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { EXIT } from '../../../src/cli/verb.ts'
import { environmentName, SETTINGS } from '../../../src/config/schema.ts'
import { ALARM_ADVICE } from '../../../src/dashboard/alarm-advice.ts'
import { readRecording } from '../../../src/ingest/recordings/read-recording.ts'
import type { ColumnMap } from '../../../src/ingest/recordings/csv.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createEvents } from '../../../src/observability/events.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { STORES } from '../../../src/platform/postgres/stores.ts'

const OPERATIONS = readFileSync('docs/operations.md', 'utf8')
const RECORDINGS = readFileSync('docs/recordings.md', 'utf8')
const SQL = readFileSync('docs/examples/external-postgres.sql', 'utf8')

/** Rows of tables whose first cell is this, in code. */
function rowOf (name: string): string | undefined { return OPERATIONS.split('\n').find(line => line.startsWith(`| \`${name}\` |`)) }

describe('docs/operations.md', () => {
  test('every metric stands there, with its labels', () => {
    const registry = new Registry()
    const events = createEvents(registry, createLogger('error', () => {}), () => epochMs(0))
    events.watchBacklog('topic', () => 0)
    events.watchLag(() => new Map())
    const metrics = registry.getMetricsAsArray() as unknown as { name: string, labelNames: string[], type: string }[]
    expect(metrics.length).toBeGreaterThan(10)
    for (const { name, labelNames } of metrics) {
      const row = rowOf(name)
      expect(row, name).toBeDefined()
      for (const label of labelNames) expect(row).toContain(`\`${label}\``)
    }
    const listed = [...OPERATIONS.matchAll(/^\| `(oxbow_\w+)` \| (?:counter|gauge|histogram)/gm)].map(([, name]) => name)
    expect(listed.sort()).toEqual(metrics.map(({ name }) => name).sort())
  })

  test('every operational alarm stands there, with what to do', () => {
    for (const alarm of Object.keys(ALARM_ADVICE)) expect(rowOf(alarm)?.split('|').filter(cell => cell.trim() !== ''), alarm).toHaveLength(3)
  })

  test('exit codes are those of the program', () => {
    expect(EXIT).toEqual({ done: 0, notSo: 1, wrongUse: 2 })
    expect(OPERATIONS).toContain('0 done · 1 not so · 2 wrong use')
  })

  test('every setting that is named exists', () => {
    const names = Object.keys(SETTINGS)
    const variables = new Set(names.flatMap(name => [environmentName(name), `${environmentName(name)}_FILE`]))
    const named = [...OPERATIONS.matchAll(/\b(OXBOW_[A-Z_]+)\b/g)].map(([, name]) => name!)
    expect(named.filter(name => !variables.has(name))).toEqual([])
    const dotted = [...OPERATIONS.matchAll(/`((?:http|ingest|quarantine|archive|bus|kafka|stream|series|fhir|egress|postgres|keys|auth)\.[a-zA-Z]+)`/g)].map(([, name]) => name!)
    expect(dotted.filter(name => !names.includes(name))).toEqual([])
  })

  test('every database and role of an external PostgreSQL stands there and in its script', () => {
    for (const { database, owner, logins } of Object.values(STORES)) {
      for (const name of [database, owner, ...logins.map(({ role }) => role)]) expect(OPERATIONS).toContain(`\`${name}\``)
      expect(SQL).toContain(`CREATE DATABASE ${database} OWNER ${owner} `)
      for (const role of [owner, ...logins.map(login => login.role)]) expect(SQL).toContain(`CREATE ROLE ${role} LOGIN`)
    }
    expect(SQL.match(/CREATE ROLE/g)).toHaveLength(Object.values(STORES).reduce((sum, { logins }) => sum + 1 + logins.length, 0))
  })
})

describe('docs/recordings.md', () => {
  test('its column map reads its file', () => {
    const block = (language: string) => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(RECORDINGS)![1]!
    const recording = readRecording(block('csv'), JSON.parse(block('json')) as ColumnMap)
    expect(recording.startsAt).toBe(Date.parse('2026-02-06T13:17:13Z'))
    expect(recording.sensors[0]!.samples.map(({ values }) => values)).toEqual([
      [{ metric: 'tissue-po2', value: 41.2 }, { metric: 'spo2', value: 97.1 }],
      [{ metric: 'tissue-po2', value: 41.3 }],
      [{ metric: 'spo2', value: 97 }],
      [{ metric: 'tissue-po2', value: 41.1 }, { metric: 'spo2', value: 97.2 }]
    ])
  })
})
