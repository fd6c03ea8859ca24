/** Jobs recorded by `association.ts`: time that an association lost or gained. Of one device they run in order of id, one at a time. */

import { instant } from '../../model/identifier.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Database } from './resource.ts'
import { fromRange, rangeColumns, type Span } from './span.ts'

export interface RelabelProgress {
  /** Views of the old sid are marked for rewriting. */
  viewsWithdrawn?: boolean
  /** Readings that left the old sid so far. */
  readings?: number
}

export interface RelabelJob {
  id: number
  /** Logical id of the Device. */
  device: string
  sid: Sid
  span: Span
  /** Where the readings belong now; absent: no association covers them, they go back to quarantine; the sid itself: it gained this time, and
   *  only windows that were cut at its old bound are written again. */
  target?: Sid
  progress: RelabelProgress
}

/** The oldest open job of each device, ascending by id. @param device only its */
export async function nextRelabelJobs (db: Database, limit: number, device?: string): Promise<RelabelJob[]> {
  const { rows } = await db.query<{ id: number, device: string, sid: Sid, target: Sid | null, progress: RelabelProgress, lower: number, upper: number | null }>(
    `select id, device, sid, target, progress, ${rangeColumns('span')} from linkage.relabel_job
     where id in (select min(id) from linkage.relabel_job where state = 'open' and ($2::text is null or device = $2) group by device)
     order by id limit $1`, [limit, device ?? null])
  return rows.map(row => ({
    id: Number(row.id),
    device: row.device,
    sid: row.sid,
    span: fromRange(row.lower, row.upper)!,
    ...(row.target === null ? {} : { target: row.target }),
    progress: row.progress
  }))
}

export async function countOpenRelabelJobs (db: Database): Promise<number> {
  const { rows } = await db.query<{ count: number }>(`select count(*)::int as count from linkage.relabel_job where state = 'open'`)
  return rows[0]?.count ?? 0
}

export async function markRelabelProgress (db: Database, id: number, progress: RelabelProgress): Promise<void> {
  await db.query(`update linkage.relabel_job set progress = $2 where id = $1 and state = 'open'`, [id, JSON.stringify(progress)])
}

export async function finishRelabelJob (db: Database, id: number, progress: RelabelProgress, now: EpochMs): Promise<void> {
  await db.query(`update linkage.relabel_job set state = 'done', progress = $2, done_at = $3 where id = $1 and state = 'open'`,
    [id, JSON.stringify(progress), instant(now)])
}

/** Runs `work` while no other process runs jobs of the device; `undefined` at once when one does. The lock ends with the connection. */
export async function withDeviceJobs<T> (client: Database, device: string, work: () => Promise<T>): Promise<T | undefined> {
  const key = `relabel/${device}`
  const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock(hashtextextended($1, 0)) as locked', [key])
  if (rows[0]?.locked !== true) return undefined
  try {
    return await work()
  } finally {
    await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [key])
  }
}

/** Time that a sid lost and does not hold now. */
export interface LostTime { device: string, sid: Sid, span: Span }

/** Of jobs done since `time`, without Devices that have an open job; ascending by sid and time. */
export async function lostTimes (db: Database, time: EpochMs): Promise<LostTime[]> {
  const { rows } = await db.query<{ device: string, sid: Sid, lower: number, upper: number | null }>(
    `select device, sid, ${rangeColumns('span')} from (
       select m.device, m.sid, unnest(range_agg(j.span) - tstzmultirange(m.valid)) as span
       from linkage.relabel_job j join linkage.sid_map m using (sid)
       where j.state = 'done' and j.target is distinct from j.sid and j.done_at >= $1 and not exists (select from linkage.relabel_job o where o.device = m.device and o.state = 'open')
       group by m.device, m.sid, m.valid) lost
     order by sid, lower(span)`, [instant(time)])
  return rows.map(({ device, sid, lower, upper }) => ({ device, sid, span: fromRange(lower, upper)! }))
}
