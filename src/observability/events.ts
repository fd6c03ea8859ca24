/** The one place where business events are reported: counter and log line together, labels from closed lists only. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ReasonCode } from '../model/reason.ts'
import type { EpochMs } from '../model/units.ts'
import type { AmendmentCause } from '../model/window.ts'
import { errorFields, type LogFields, type Logger } from './logger.ts'

/** What an operator must know of; each stands in `/health/ready` until it is over, or for a day where it tells of something that happened. */
export type OperationalAlarm =
  | 'quarantine-full' | 'quarantine-expiring' | 'bus-behind' | 'bus-failed' | 'stream-stopped'
  | 'lead-lost' | 'inlet-stopped' | 'inlet-lost' | 'foreign-record' | 'gateway-limited' | 'device-limited' | 'reading-conflict' | 'firmware-unknown' | 'model-missing' | 'schema-refused'
  | 'schema-registry-failed' | 'archive-failed' | 'archive-behind' | 'egress-failing' | 'egress-dead-letter' | 'job-failing' | 'disk-low'

export interface Events {
  accepted (readings: number): void
  quarantined (reason: ReasonCode, count: number): void
  /** Of those quarantined: stood there already. */
  repeated (count: number): void
  released (count: number): void
  discarded (count: number): void
  refused (status: number): void
  /** A schema was given to the registry. */
  schema (outcome: 'registered' | 'refused'): void
  /** Readings that were not taken, because of whose limit. */
  limited (limit: 'gateway' | 'device', readings: number): void
  suppressed (kind: 'duplicate' | 'conflict', count: number): void
  stored (readings: number): void
  /** @param days of series · @param bytes of their files · @param erased days that were not written because their key was destroyed */
  parquetWritten (days: number, bytes: number, erased: number): void
  windowsClosed (count: number): void
  windowsAmended (cause: AmendmentCause, count: number): void
  delivered (outcome: 'sent' | 'failed' | 'dead-letter', count: number): void
  /** @param erased readings whose key was destroyed before they were archived · @param bytes of the object */
  archived (readings: number, erased: number, bytes: number): void
  request (route: string, method: string, status: number, durationMs: number): void
  /** @param topic as the settings name it */
  arrivedFrom (topic: string, partition: number, messages: number): void
  /** @param records asked whenever metrics are read: of all topics that are read, by name */
  watchLag (records: () => ReadonlyMap<string, number>): void
  /** @param records asked whenever metrics are read */
  watchBacklog (topic: string, records: () => number): void
  /** Log line, counter and an entry in `/health/ready`; raised again it is counted again. @param part whose alarm it is, where several may raise it */
  raise (alarm: OperationalAlarm, fields?: LogFields, part?: string): void
  /** It is over for that part; the alarm stands while another part has it. */
  clear (alarm: OperationalAlarm, part?: string): void
  /** Alarms that stand. */
  raisedAlarms (): readonly OperationalAlarm[]
}

/** They are over when they are said: each stands for a day after the last one. */
const HAPPENINGS: ReadonlySet<OperationalAlarm> = new Set(['inlet-lost', 'foreign-record', 'reading-conflict', 'egress-dead-letter', 'schema-refused'])
const HAPPENING_STANDS_MS = 86_400_000

export function createEvents (registry: Registry, log: Logger, now: () => EpochMs): Events {
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) => new Counter({ name, help, labelNames, registers: [registry] })
  const accepted = counter('oxbow_readings_accepted_total', 'Readings acknowledged at the door')
  const arrived = counter('oxbow_inlet_messages_total', 'Messages taken in from topics that others write to', ['topic', 'partition'])
  const stored = counter('oxbow_readings_stored_total', 'Readings stored in the series store')
  const parquetDays = counter('oxbow_parquet_days_total', 'Days of series written as Parquet')
  const parquetBytes = counter('oxbow_parquet_bytes_total', 'Bytes of Parquet files, sealed')
  const suppressed = counter('oxbow_readings_suppressed_total', 'Readings not stored because they were there already', ['kind'])
  const quarantined = counter('oxbow_quarantined_total', 'Inputs put into quarantine, repeats included', ['reason'])
  const repeated = counter('oxbow_quarantine_repeats_total', 'Inputs that stood in quarantine already and were counted on their item')
  const released = counter('oxbow_quarantine_released_total', 'Items released from quarantine')
  const discarded = counter('oxbow_quarantine_discarded_total', 'Items discarded from quarantine')
  const refused = counter('oxbow_requests_refused_total', 'Telemetry requests refused at the door', ['status'])
  const schemas = counter('oxbow_schemas_total', 'Schemas given to the registry', ['outcome'])
  const limited = counter('oxbow_readings_limited_total', 'Readings not taken because their gateway or device was over its limit', ['limit'])
  const closed = counter('oxbow_windows_closed_total', 'Windows written as revision 1')
  const amended = counter('oxbow_windows_amended_total', 'Windows written again', ['cause'])
  const delivered = counter('oxbow_bundles_total', 'Bundles handed to destinations', ['outcome'])
  const archived = counter('oxbow_archived_readings_total', 'Readings whose original bytes stand in the archive')
  const erased = counter('oxbow_archive_erased_readings_total', 'Readings that could not be archived because the key of their sid was destroyed')
  const archivedObjects = counter('oxbow_archive_objects_total', 'Objects written to the archive')
  const archivedBytes = counter('oxbow_archive_bytes_total', 'Bytes of the objects written to the archive')
  const alarms = counter('oxbow_operational_alarms_total', 'Operational alarms raised', ['alarm'])
  const seconds = new Histogram({ name: 'oxbow_http_seconds', help: 'Duration of HTTP requests', labelNames: ['route', 'method', 'status'], buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], registers: [registry] })
  const backlogs = new Map<string, () => number>()
  // Registers itself.
  void new Gauge({
    name: 'oxbow_bus_backlog_records',
    help: 'Records appended and not yet consumed',
    labelNames: ['topic'],
    registers: [registry],
    collect () { for (const [topic, records] of backlogs) this.set({ topic }, records()) }
  })
  /** By alarm: the parts that have it, and until when. */
  const raised = new Map<OperationalAlarm, Map<string, number>>()
  return {
    accepted: readings => { accepted.inc(readings) },
    stored: readings => { stored.inc(readings) },
    parquetWritten: (days, bytes, unwritten) => {
      parquetDays.inc(days)
      parquetBytes.inc(bytes)
      if (days > 0) log.info('days written as Parquet', { event: 'archive.parquet', count: days })
      if (unwritten > 0) log.warn('days not written as Parquet: the key was destroyed', { event: 'archive.erased', count: unwritten })
    },
    suppressed: (kind, count) => { suppressed.inc({ kind }, count) },
    quarantined: (reason, count) => {
      quarantined.inc({ reason }, count)
      log.warn('quarantined', { event: 'ingest.quarantined', reason, count })
    },
    repeated: count => { repeated.inc(count) },
    released: count => {
      released.inc(count)
      log.info('released from quarantine', { event: 'ingest.released', count })
    },
    discarded: count => {
      discarded.inc(count)
      log.warn('discarded from quarantine', { event: 'ingest.discarded', count })
    },
    refused: status => { refused.inc({ status }) },
    schema: outcome => {
      schemas.inc({ outcome })
      log.info('schema given to the registry', { event: `schema.${outcome}` })
    },
    limited: (limit, readings) => { limited.inc({ limit }, readings) },
    windowsClosed: count => { closed.inc(count) },
    windowsAmended: (cause, count) => { amended.inc({ cause }, count) },
    delivered: (outcome, count) => { delivered.inc({ outcome }, count) },
    archived: (readings, lost, bytes) => {
      archived.inc(readings)
      erased.inc(lost)
      archivedObjects.inc()
      archivedBytes.inc(bytes)
      log.debug('archived', { event: 'archive.sealed', count: readings })
      if (lost > 0) log.warn('not archived: the key was destroyed', { event: 'archive.erased', count: lost })
    },
    arrivedFrom: (topic, partition, messages) => { arrived.inc({ topic, partition }, messages) },
    watchLag: records => {
      // Registers itself.
      void new Gauge({
        name: 'oxbow_inlet_lag_records',
        help: 'Records of topics that others write to, not taken in yet',
        labelNames: ['topic'],
        registers: [registry],
        collect () { for (const [topic, lag] of records()) this.set({ topic }, lag) }
      })
    },
    request: (route, method, status, durationMs) => { seconds.observe({ route, method, status }, durationMs / 1_000) },
    watchBacklog: (topic, records) => { backlogs.set(topic, records) },
    raise: (alarm, fields = {}, part = '') => {
      alarms.inc({ alarm })
      const parts = raised.get(alarm) ?? new Map<string, number>()
      raised.set(alarm, parts.set(part, HAPPENINGS.has(alarm) ? now() + HAPPENING_STANDS_MS : Number.POSITIVE_INFINITY))
      log.error('operational alarm', { event: alarm, ...fields })
    },
    clear: (alarm, part = '') => {
      const parts = raised.get(alarm)
      if (parts?.delete(part) === true && parts.size === 0) log.info('operational alarm over', { event: alarm })
    },
    raisedAlarms: () => [...raised].filter(([, parts]) => [...parts.values()].some(until => now() < until)).map(([alarm]) => alarm)
  }
}

/** How a job in the background fares. */
export interface JobReport { failing (error: unknown): void, fine (): void }

/** `job-failing` while this job fails. @param job in words */
export function jobReport (events: Pick<Events, 'raise' | 'clear'>, job: string): JobReport {
  return {
    failing: error => { events.raise('job-failing', { detail: job, ...errorFields(error) }, job) },
    fine: () => { events.clear('job-failing', job) }
  }
}
