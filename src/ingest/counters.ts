/** What came in, by hour of arrival, as rows of schema `ingest`: received = accepted + records in quarantine; refused requests apart (law 4).
 *
 *  Quarantined records are counted in the transaction that keeps them. Accepted readings are counted when their append is acknowledged and
 *  written at most `everyMs` later, so that no request waits for a counter: a crash may lose the last of them, never count one too many. The
 *  series store counts the same readings by arrival hour in the transaction that stores them; `settleAccepted` takes its number afterwards. */

import type { Pool } from 'pg'
import { type EpochMs, epochMs, hourOf } from '../model/units.ts'
import { asStoreError, storeQuery, transaction } from '../platform/postgres/pool.ts'

export interface ArrivalCounters {
  accepted (receivedAt: EpochMs, readingCount: number): void
  refused (at: EpochMs, status: number): void
  /** Resolves when everything counted before is written. @throws ServiceError unavailable STORE_UNAVAILABLE; nothing is lost, the next flush writes it */
  flush (): Promise<void>
  /** Makes `accepted` whole after a crash, from what the series store counted by arrival hour; never raises it above what came in and what reprocessing added.
   *  Call when the stream has caught up with the bus. */
  settle (countedByHour: () => Promise<ReadonlyMap<EpochMs, number>>): Promise<void>
  /** Flushes a last time. */
  close (): Promise<void>
}

export interface ArrivalCountersOptions {
  /** Login `oxbow_ingest`. */
  pool: Pool
  /** Default 1 s. */
  everyMs?: number
}

interface Refusal { hour: number, status: number, requests: number }

export function createArrivalCounters ({ pool, everyMs = 1_000 }: ArrivalCountersOptions): ArrivalCounters {
  let accepted = new Map<number, number>()
  let refused = new Map<string, Refusal>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()

  function soon (): void {
    timer ??= setTimeout(() => { flush().catch(soon) }, everyMs).unref()
  }

  function countRefused (hour: number, status: number, requests: number): void {
    const key = `${hour}/${status}`
    refused.set(key, { hour, status, requests: requests + (refused.get(key)?.requests ?? 0) })
  }

  function flush (): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing = writing.catch(() => {}).then(write)
    return writing
  }

  /** In turn with the writes, so that every count stands either in a row or in `accepted`. */
  function settle (countedByHour: () => Promise<ReadonlyMap<EpochMs, number>>): Promise<void> {
    const settled = writing.catch(() => {}).then(async () => {
      const counted = await countedByHour()
      const unwritten = new Map(accepted)
      await settleAccepted(pool, new Map([...counted].map(([hour, readings]) => [hour, Math.max(0, readings - (unwritten.get(hour) ?? 0))])))
    })
    writing = settled
    return settled
  }

  async function write (): Promise<void> {
    if (accepted.size === 0 && refused.size === 0) return
    const taken = { accepted, refused }
    accepted = new Map()
    refused = new Map()
    try {
      await writeCounts(pool, [...taken.accepted], [...taken.refused.values()])
    } catch (error) {
      for (const [hour, count] of taken.accepted) accepted.set(hour, count + (accepted.get(hour) ?? 0))
      for (const { hour, status, requests } of taken.refused.values()) countRefused(hour, status, requests)
      throw asStoreError(error)
    }
  }

  return {
    accepted (receivedAt, readingCount) {
      const hour = hourOf(receivedAt)
      accepted.set(hour, readingCount + (accepted.get(hour) ?? 0))
      soon()
    },
    refused (at, status) {
      countRefused(hourOf(at), status, 1)
      soon()
    },
    flush,
    settle,
    close: flush
  }
}

async function writeCounts (pool: Pool, accepted: readonly [hour: number, count: number][], refused: readonly Refusal[]): Promise<void> {
  await transaction(pool, async client => {
    await client.query(`
      INSERT INTO ingest.arrival (hour, accepted) SELECT * FROM unnest($1::timestamptz[], $2::bigint[]) AS new (hour, accepted) ORDER BY hour
      ON CONFLICT (hour) DO UPDATE SET accepted = arrival.accepted + excluded.accepted`,
    [accepted.map(([hour]) => new Date(hour)), accepted.map(([, count]) => count)])
    await client.query(`INSERT INTO ingest.refused (hour, status, requests)
      SELECT * FROM unnest($1::timestamptz[], $2::smallint[], $3::bigint[]) AS new (hour, status, requests) ORDER BY hour, status
      ON CONFLICT (hour, status) DO UPDATE SET requests = refused.requests + excluded.requests`,
    [refused.map(({ hour }) => new Date(hour)), refused.map(({ status }) => status), refused.map(({ requests }) => requests)])
  })
}

/** Raises `accepted` of each hour to what the series store counted for it, less what of that hour was released from quarantine or re-submitted as
 *  a field: neither is a reading that the door accepted. Call when the stream has caught up with the bus. @param counted readings by arrival hour, over all sids */
async function settleAccepted (pool: Pool, counted: ReadonlyMap<EpochMs, number>): Promise<void> {
  await storeQuery(pool, `INSERT INTO ingest.arrival (hour, accepted)
    SELECT c.hour, greatest(0, c.readings - coalesce((SELECT sum(q.released + q.fields_resubmitted) FROM ingest.quarantined q WHERE q.hour = c.hour), 0))
    FROM unnest($1::timestamptz[], $2::bigint[]) AS c (hour, readings) ORDER BY c.hour
    ON CONFLICT (hour) DO UPDATE SET accepted = greatest(arrival.accepted, excluded.accepted)`,
  [[...counted.keys()].map(hour => new Date(hour)), [...counted.values()]])
}

/** Without rows a sum is null. */
const SUMS = ['records', 'fields', 'returned', 'repeated', 'released', 'resubmitted', 'discarded', 'fields_resubmitted']
  .map(name => `coalesce(sum(${name}), 0)::bigint AS ${name}`).join(', ')

/** One hour of arrival: received = accepted + quarantined. Of quarantined and returned together, what is not repeated, released, resubmitted or
 *  discarded is open. */
export interface ArrivalHour {
  hour: EpochMs
  received: number
  accepted: number
  quarantined: number
  /** Fields kept apart from records that were stored. */
  fields: number
  returned: number
  /** Of quarantined and returned: counted on an item that stood there already. */
  repeated: number
  released: number
  resubmitted: number
  discarded: number
  /** Of `fields`; each fills its reading, and the series store counts it as one more repetition. */
  fieldsResubmitted: number
}

/** Hours in [from, until), ascending. */
export async function arrivalHours (pool: Pool, from: EpochMs, until: EpochMs): Promise<ArrivalHour[]> {
  const { rows } = await storeQuery<Record<Exclude<keyof ArrivalHour, 'hour'>, number> & { hour: Date }>(pool, `
    SELECT hour, coalesce(accepted, 0) + coalesce(records, 0) AS received, coalesce(accepted, 0) AS accepted, coalesce(records, 0) AS quarantined,
      coalesce(fields, 0) AS fields, coalesce(returned, 0) AS returned, coalesce(repeated, 0) AS repeated,
      coalesce(released, 0) AS released, coalesce(resubmitted, 0) AS resubmitted,
      coalesce(discarded, 0) AS discarded, coalesce(fields_resubmitted, 0) AS "fieldsResubmitted"
    FROM ingest.arrival FULL JOIN (SELECT hour, ${SUMS} FROM ingest.quarantined GROUP BY hour) AS q USING (hour)
    WHERE hour >= $1 AND hour < $2 ORDER BY hour`, [new Date(from), new Date(until)])
  return rows.map(row => ({ ...row, hour: epochMs(row.hour.getTime()) }))
}

export interface QuarantinedCounts { records: number, fields: number, returned: number, repeated: number, released: number, resubmitted: number, discarded: number }

/** Over all hours, for one device (blind index). */
export async function quarantinedOf (pool: Pool, device: { version: number, index: Buffer }): Promise<QuarantinedCounts> {
  const { rows } = await storeQuery<QuarantinedCounts>(pool, `SELECT ${SUMS} FROM ingest.quarantined WHERE index_version = $1 AND device_index = $2`,
    [device.version, device.index])
  return rows[0]!
}

/** Refused requests by status, over all hours. */
export async function refusedByStatus (pool: Pool): Promise<Map<number, number>> {
  const { rows } = await storeQuery<{ status: number, requests: number }>(
    pool, 'SELECT status, sum(requests)::bigint AS requests FROM ingest.refused GROUP BY status ORDER BY status')
  return new Map(rows.map(({ status, requests }) => [status, requests]))
}

/** Refused requests from the hour of `from` on. */
export async function refusedSince (pool: Pool, from: EpochMs): Promise<number> {
  const { rows } = await storeQuery<{ requests: number }>(pool, 'SELECT coalesce(sum(requests), 0)::bigint AS requests FROM ingest.refused WHERE hour >= $1', [new Date(hourOf(from))])
  return rows[0]!.requests
}
