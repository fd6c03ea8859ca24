/** A running system's parts → what the front page asks for. */

import type { Pool } from 'pg'
import { arrivalHours, refusedSince } from '../ingest/counters.ts'
import { selectTotals } from '../ingest/quarantine/quarantine-rows.ts'
import type { EpochMs } from '../model/units.ts'
import type { OperationalAlarm } from '../observability/events.ts'
import { storedByHour } from '../stores/series/counters.ts'
import type { FrontPageParts } from './front-page.routes.ts'
import type { Curve, DeviceCounts, FrontPageStatus, PartState, PartStatus } from './front-page.ts'
import { createRecentCounts } from './recent-counts.ts'

export interface FrontPageSources {
  /** Login `oxbow_ingest`. */
  ingestPool: Pool
  seriesPool: Pool
  /** `undefined` in a deployment without the demonstration ward. */
  ward: { curves (): Promise<readonly Curve[]>, devices (): Promise<readonly DeviceCounts[]> } | undefined
  /** Records on the bus that are not stored yet. */
  backlog (): number
  /** As `/health/ready` says it. */
  missing (): Promise<readonly string[]>
  alarms (): readonly OperationalAlarm[]
  postgresKind: 'embedded' | 'external'
  writerCount: number
  destinationCount: number
  version: string
  address (): string
  now (): EpochMs
}

export function openFrontPage (sources: FrontPageSources): FrontPageParts {
  const { ingestPool, seriesPool, ward, version, address, now } = sources
  return {
    status: async () => statusOf(await sources.missing(), sources.alarms(), sources),
    counts: createRecentCounts({
      door: (from, until) => arrivalHours(ingestPool, from, until),
      backlog: sources.backlog,
      stored: (from, until) => storedByHour(seriesPool, from, until),
      refused: from => refusedSince(ingestPool, from),
      openItems: async () => (await selectTotals(ingestPool)).items,
      now
    }),
    curves: async () => ward === undefined ? [] : ward.curves(),
    devices: async () => ward === undefined ? [] : ward.devices(),
    isDemo: ward !== undefined,
    version,
    address,
    now
  }
}

type StatusSources = Pick<FrontPageSources, 'backlog' | 'postgresKind' | 'writerCount' | 'destinationCount'>

/** @param missing names of `/health/ready` */
export function statusOf (missing: readonly string[], alarms: readonly OperationalAlarm[], sources: StatusSources): FrontPageStatus {
  const { postgresKind, writerCount, destinationCount } = sources
  const raised = new Set(alarms)
  const part = (name: string, detail: string, down: readonly OperationalAlarm[], behind: readonly OperationalAlarm[] = []): PartStatus => {
    const state: PartState = down.some(alarm => raised.has(alarm)) ? 'down' : behind.some(alarm => raised.has(alarm)) ? 'behind' : 'up'
    return { name, state, detail }
  }
  const postgres: PartStatus = { name: 'PostgreSQL', state: missing.includes('postgres') ? 'down' : raised.has('disk-low') ? 'behind' : 'up', detail: `${postgresKind}, five databases` }
  return {
    missing,
    alarms,
    parts: [
      postgres,
      part('Bus', `${plural(sources.backlog(), 'record')} waiting`, ['bus-failed'], ['bus-behind']),
      part('Stream', plural(writerCount, 'writer'), ['stream-stopped'], ['job-failing']),
      { name: 'Stores', state: missing.some(name => name.startsWith('store ')) ? 'down' : 'up', detail: 'linkage and series, apart' },
      part('Quarantine', 'sealed, with reasons', ['quarantine-full'], ['quarantine-expiring', 'schema-refused', 'schema-registry-failed']),
      part('Bundle egress', destinationCount === 0 ? 'no destinations' : plural(destinationCount, 'destination'), [], ['egress-failing', 'egress-dead-letter'])
    ]
  }
}

function plural (count: number, word: string): string { return `${count.toLocaleString('en-GB')} ${word}${count === 1 ? '' : 's'}` }
