/** Rows of `series.reprocess_job`: what is being reprocessed and how far it is; one job is open at a time, and one process works on it. */

import { escapeLiteral, type Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import { withClient } from '../../platform/postgres/pool.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

export type ReprocessPhase = 'read' | 'compare' | 'windows' | 'done'

/** Where the phase goes on; absent: at its beginning. */
export interface ReprocessPlace {
  /** By partition: how far the raw topic was archived when the job began. */
  heads?: readonly (readonly [partition: number, next: number])[]
  /** Last object that was read. */
  object?: { partition: number, first: number }
  /** Last reading that was compared. */
  reading?: { series: number, takenAt: EpochMs, sequence: number }
  /** Last of the series whose windows of a day are done. */
  windows?: { day: number, series: number }
}

export interface ReprocessCounts {
  /** Of the span, in the archive: read; not to be opened since their key was destroyed (of all times); not to be read; without somebody who wears their device; not taken by the rules of today. */
  originals: number
  erased: number
  unreadable: number
  unassigned: number
  refused: number
  /** Stored in the span when they were compared; of these, without an original in the archive. */
  stored: number
  uncovered: number
  /** Readings that were missing, got a field that was absent, got another value; those with a value that no original gives today. */
  added: number
  filled: number
  corrected: number
  kept: number
  /** Records of the raw topic that were not archived yet when the job began. */
  waiting: number
  /** Windows computed again, and revisions written. */
  windows: number
  revisions: number
  /** Windows left as they are: they stand on more readings than are stored; their device model is not in the registry. */
  unbacked: number
  withoutModel: number
}

export interface ReprocessJob {
  number: number
  from: EpochMs
  to: EpochMs
  /** Absent: all. */
  sids: readonly Sid[] | undefined
  /** Digest of the pipeline that it computes with. */
  pipeline: string
  phase: ReprocessPhase
  place: ReprocessPlace
  counts: ReprocessCounts
  /** When it was asked for, and when it was last worked on. */
  startedAt: EpochMs
  changedAt: EpochMs
}

export type ReprocessWish = Pick<ReprocessJob, 'from' | 'to' | 'sids' | 'pipeline'>

export const NO_COUNTS: ReprocessCounts = {
  originals: 0, erased: 0, unreadable: 0, unassigned: 0, refused: 0, stored: 0, uncovered: 0, added: 0, filled: 0, corrected: 0, kept: 0, waiting: 0, windows: 0, revisions: 0,
  unbacked: 0, withoutModel: 0
}

const LOCK = "hashtext('oxbow reprocess')"

/** For as long as the work takes nobody else works on a job. @throws ServiceError conflict STORE_CONFLICT when somebody does */
export async function exclusively<T> (pool: Pool, work: () => Promise<T>): Promise<T> {
  return withClient(pool, async client => {
    const [row] = await rowsOf(client, `select pg_try_advisory_lock(${LOCK})`)
    if (row![0] !== true) throw new ServiceError('conflict', 'STORE_CONFLICT', 'another process reprocesses: its progress is shown there, and this one may begin when it is done')
    try {
      return await work()
    } finally {
      await rowsOf(client, `select pg_advisory_unlock(${LOCK})`)
    }
  })
}

const COLUMNS = 'number, since, before, sids, pipeline, phase, place::json, counts::json, started_at, changed_at'

export async function openReprocessJob (pool: Pool): Promise<ReprocessJob | undefined> {
  const [row] = await rowsOf(pool, `select ${COLUMNS} from series.reprocess_job where phase <> 'done'`)
  return row === undefined ? undefined : decode(row)
}

/** What an earlier one left behind is thrown away. */
export async function startReprocessJob (pool: Pool, { from, to, sids, pipeline }: ReprocessWish, now: EpochMs): Promise<ReprocessJob> {
  await rowsOf(pool, 'truncate series.reprocess_original')
  const [row] = await rowsOf(pool, `insert into series.reprocess_job (since, before, sids, pipeline, phase, counts, started_at, changed_at)
    values ($1, $2, $3, $4, 'read', $5, $6, $6) returning ${COLUMNS}`,
  [timeParameter(from), timeParameter(to), sids, pipeline, JSON.stringify(NO_COUNTS), timeParameter(now)])
  return decode(row!)
}

/** Puts down how far it is. */
export async function saveReprocessJob (pool: Pool, job: ReprocessJob, now: EpochMs): Promise<void> { await rowsOf(pool, saveStatement(job, now)) }

/** The same, to be sent together with other statements. */
export function saveStatement ({ number, pipeline, phase, place, counts }: ReprocessJob, now: EpochMs): string {
  const text = (value: unknown): string => escapeLiteral(JSON.stringify(value))
  return `update series.reprocess_job set pipeline = ${escapeLiteral(pipeline)}, phase = ${escapeLiteral(phase)}, place = ${text(place)}, counts = ${text(counts)}, ` +
    `changed_at = '${timeParameter(now)}' where number = ${Number(number)}`
}

export async function forgetOriginals (pool: Pool): Promise<void> { await rowsOf(pool, 'truncate series.reprocess_original') }

function decode ([number, from, to, sids, pipeline, phase, place, counts, startedAt, changedAt]: readonly unknown[]): ReprocessJob {
  return {
    number: number as number, from: from as EpochMs, to: to as EpochMs, sids: (sids as Sid[] | null) ?? undefined, pipeline: pipeline as string,
    phase: phase as ReprocessPhase, place: place as ReprocessPlace, counts: { ...NO_COUNTS, ...counts as Partial<ReprocessCounts> }, startedAt: startedAt as EpochMs, changedAt: changedAt as EpochMs
  }
}
