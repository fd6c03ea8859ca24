/** A `SeriesCommit` -> one transaction in one round trip (decision 0003): all of it or nothing. */

import type { Pool, PoolClient } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { withClient } from '../../platform/postgres/pool.ts'
import { sendBatch } from '../../platform/postgres/send-batch.ts'
import type { SeriesCommit } from '../../stream/sink.ts'
import { createWatched } from './changed-days.ts'
import { type CommitBuffers, commitParts, createCommitBuffers, needsStaging, STAGING } from './commit-parts.ts'
import { foldCounters } from './counters.ts'
import type { Dictionary } from './dictionary.ts'
import { createDayNotes, type Partitions } from './partitions.ts'
import { rowsOf } from './query.ts'

interface Writer {
  buffers: CommitBuffers
  /** Number of its next ledger row; absent: to be read. */
  nextNumber: number | undefined
  isBusy: boolean
}

/** One writer has one commit in flight; different writers may commit at once.
 *  @throws ServiceError conflict STORE_CONFLICT: a fresh row or a revision is stored already, or another process went on with a partition
 *  or as this writer; the caller gives up its state of the series and reads it again. unavailable STORE_UNAVAILABLE: the outcome is unknown */
export function createCommit (pool: Pool, dictionary: Dictionary, partitions: Partitions): (commit: SeriesCommit) => Promise<void> {
  const writers = new Map<number, Writer>()
  const dayNotes = createDayNotes()
  const watched = createWatched(pool)
  const staged = new WeakSet<PoolClient>()
  let countedCommits = 0

  /** Beside the commits; what fails is done with the next one. */
  function foldNowAndThen (commit: SeriesCommit): void {
    if (commit.counters.length === 0 || ++countedCommits < COMMITS_PER_FOLD) return
    countedCommits = 0
    foldCounters(pool).catch(() => {})
  }

  async function send (commit: SeriesCommit, writer: Writer): Promise<void> {
    const drops = await partitions.drops()
    const oldestFresh = await partitions.ensureDays(commit.fresh)
    await partitions.ensureDays(commit.late)
    await partitions.ensureMonths(commit.revisions)
    if (commit.revisions.length > 0) await prepareLedger(commit, writer)
    const days = new Map<number, Set<number>>()
    dayNotes.missing(commit.fresh, days)
    dayNotes.missing(commit.late, days)
    const known = { days, drops, watched: await watched.through(), oldestFresh }
    const parts = commitParts(commit, { buffers: writer.buffers, dictionary, firstNumber: writer.nextNumber ?? 1, ...known })
    if (parts.length === 0) return
    await withClient(pool, async client => {
      const makesStaging = needsStaging(commit) && !staged.has(client)
      await sendBatch(client, makesStaging ? [STAGING, ...parts] : parts)
      if (makesStaging) staged.add(client)
    })
    dayNotes.remember(days)
    if (writer.nextNumber !== undefined) writer.nextNumber += commit.revisions.length
    foldNowAndThen(commit)
  }

  /** What this process remembers of partitions and watched days may be old, and be so again a moment later: then nothing was written. */
  async function sendUntilKnown (commit: SeriesCommit, writer: Writer): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(commit, writer)
      } catch (error) {
        if (!OUTDATED.has(codeOf(error)) || attempt === ATTEMPTS) throw error
        await partitions.forget()
        dayNotes.forget()
        watched.forget()
      }
    }
  }

  async function prepareLedger (commit: SeriesCommit, writer: Writer): Promise<void> {
    await dictionary.metrics(commit.revisions.map(({ metric }) => metric))
    await dictionary.provenances(commit.revisions.flatMap(({ provenance }) => provenance))
    writer.nextNumber ??= await nextNumber(pool, commit.writer)
  }

  return async commit => {
    const writer = writers.get(commit.writer) ?? { buffers: createCommitBuffers(), nextNumber: undefined, isBusy: false }
    writers.set(commit.writer, writer)
    if (writer.isBusy) throw new ServiceError('fault', 'INTERNAL', `writer ${commit.writer} has a commit in flight`)
    writer.isBusy = true
    try {
      await sendUntilKnown(commit, writer)
    } catch (error) {
      writer.nextNumber = undefined
      throw asConflict(error)
    } finally {
      writer.isBusy = false
    }
  }
}

const COMMITS_PER_FOLD = 256

async function nextNumber (pool: Pool, writer: number): Promise<number> {
  await rowsOf(pool, 'insert into series.writer (id, next_number) values ($1, 1) on conflict do nothing', [writer])
  const [row] = await rowsOf(pool, 'select next_number from series.writer where id = $1', [writer])
  return row![0] as number
}

/** Our own (0007-changed-days.sql). */
const OTHERS_WATCHED = 'OX002'
/** Also: no partition for a row, because retention dropped it, or because another session has only just made it. */
const OUTDATED: ReadonlySet<string> = new Set(['23514', OTHERS_WATCHED])
const ATTEMPTS = 5
/** Unique violation; our own (0001-series.sql); serialization failure and deadlock with a job that moves readings. */
const CONFLICTS: ReadonlySet<string> = new Set(['23505', 'OX001', OTHERS_WATCHED, '40001', '40P01'])

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

function asConflict (error: unknown): unknown {
  if (error instanceof ServiceError || !CONFLICTS.has(codeOf(error))) return error
  return new ServiceError('conflict', 'STORE_CONFLICT', 'the series store holds something else than this writer knew: nothing was written, its state must be read again', { cause: error })
}
