/** Where every record came in, as archived and as quarantine's book has it → requests of which each place is there once, and those of which it is not.
 *
 *  Gathered in temporary tables of one session: however much is archived, the memory of this process stays small. */

import type { ClientBase } from 'pg'
import { RETURNED_INLET, SOURCE_PATTERN, TOPIC_INLET } from '../../ingest/source-position.ts'
import type { EpochMs } from '../../model/units.ts'
import { storeQuery } from '../../platform/postgres/pool.ts'
import type { Directory, Parcel } from './object-bytes.ts'

export type RequestVerdict =
  /** Each place of it is archived, or stands in quarantine's book; once. */
  | 'complete'
  /** Nothing of it stands in quarantine, and some places are nowhere: it was not acknowledged, for what fails is kept before the answer. */
  | 'unanswered'
  /** Written before places were. */
  | 'unplaced'
  /** Whole, and taken in more than once: a message of a topic that was read again after a crash. The series store has its readings once. */
  | 'redelivered'
  /** Places are missing, or releases, that may still be on their way from the bus: so new is what quarantine has of it. */
  | 'unjudged'
  | 'place-missing' | 'place-doubled' | 'place-beyond' | 'release-missing' | 'release-unknown'

export interface RequestCount { verdict: RequestVerdict, requests: number, places: number }
export interface NamedRequest { verdict: RequestVerdict, request: string, places: string }

export interface Snapshot {
  /** Arrivals in quarantine's book by what became of them. */
  kept: { waiting: number, held: number, released: number, resubmitted: number, discarded: number, repeated: number }
  /** Arrivals that quarantine counted in the transactions that wrote them; the book must have as many. */
  counted: number
}

const NUMBERED = `'${SOURCE_PATTERN}'`

/** Makes the tables and fills that of quarantine. Inside of one transaction, with what else must be of the same moment. */
export async function takeSnapshot (db: Pick<ClientBase, 'query'>): Promise<Snapshot> {
  await storeQuery(db, `CREATE TEMPORARY TABLE archived_place (inlet text, number bigint, records int, released boolean, count int, places int4multirange)`)
  await storeQuery(db, `
    CREATE TEMPORARY TABLE kept_place AS
    SELECT regexp_substr(source, ${NUMBERED}, 1, 1, '', 1) AS inlet, regexp_substr(source, ${NUMBERED}, 1, 1, '', 2)::bigint AS number, records, state, count, places, arrived_at, settled_at,
      kind = 'record' AND state IN ('released', 'resubmitted') AS is_archived
    FROM (
      SELECT source, kind, state, max(request_records) AS records, count(*)::int AS count, range_agg(int4range(place, place + 1)) AS places,
        max(arrived_at) AS arrived_at, max(settled_at) AS settled_at
      FROM quarantine.item WHERE kind <> 'field' AND NOT starts_with(source, '${RETURNED_INLET}') GROUP BY source, kind, state
      UNION ALL SELECT source, kind, state, request_records, (SELECT sum(upper(r) - lower(r))::int FROM unnest(places) AS r), places,
        CASE state WHEN 'repeated' THEN noted_at END, NULL FROM quarantine.book) AS kept`)
  await storeQuery(db, `
    CREATE TEMPORARY TABLE taken_in AS
    SELECT '${TOPIC_INLET}' || topic || CASE generation WHEN 0 THEN '' ELSE '~' || generation END || '/' || partition AS inlet, next_offset FROM ingest.topic_offset`)
  const { rows: states } = await storeQuery<{ state: keyof Snapshot['kept'], count: number }>(db, 'SELECT state, sum(count)::bigint AS count FROM kept_place GROUP BY state')
  const { rows: [counted] } = await storeQuery<{ count: number }>(db, `
    SELECT (coalesce((SELECT sum(records) FROM ingest.quarantined), 0) - (SELECT sum(records) FROM quarantine.unbooked))::bigint AS count`)
  const kept = { waiting: 0, held: 0, released: 0, resubmitted: 0, discarded: 0, repeated: 0 }
  for (const { state, count } of states) kept[state] = count
  return { kept, counted: counted!.count }
}

/** Places of an object's records, those too that nothing opens any more. */
export async function addPlaces (db: Pick<ClientBase, 'query'>, { frames, lost, origins }: Directory): Promise<void> {
  const rows = new Map<string, { origin: number, released: boolean, count: number, ranges: string[] }>()
  const addParcel = ([, way, , ...runs]: Parcel): void => {
    for (let at = 0; at < runs.length; at += 3) {
      const [origin, first, count] = [runs[at]!, runs[at + 1]!, runs[at + 2]!]
      const name = `${origin}/${way}`
      const row = rows.get(name) ?? { origin, released: way === 1, count: 0, ranges: [] }
      rows.set(name, row)
      row.count += count
      row.ranges.push(`[${first},${first + count})`)
    }
  }
  for (const { parcels } of frames) parcels.forEach(addParcel)
  lost.forEach(addParcel)
  const all = [...rows.values()]
  const column = <T>(value: (row: typeof all[number]) => T) => all.map(value)
  await storeQuery(db, `
    INSERT INTO archived_place SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::boolean[], $5::int[], $6::int4multirange[])`, [
    column(({ origin }) => origins[origin]![0]), column(({ origin }) => origins[origin]![1]), column(({ origin }) => origins[origin]![2]),
    column(({ released }) => released), column(({ count }) => count), column(({ ranges }) => `{${ranges.join(',')}}`)
  ])
}

/** By request. What is below the offset of its topic has been taken in whole; the rest of it may be under way all the same. Ranges of readings that the series store gave back have no request. What is kept of a request is kept once everything else of it is
 *  durable, and an item is released once its reading is: what is older than all that is under way ($1) is archived by now, or missing. */
const JUDGED = `
  WITH archived AS (
    SELECT inlet, number, max(records) AS records, sum(count) FILTER (WHERE NOT released) AS arrivals,
      range_agg(places) FILTER (WHERE NOT released) AS arrived, range_agg(places) FILTER (WHERE released) AS released
    FROM archived_place WHERE NOT starts_with(inlet, '${RETURNED_INLET}') GROUP BY inlet, number),
  kept AS (
    SELECT inlet, number, max(records) AS records, sum(count) AS items, range_agg(places) AS places, range_agg(places) FILTER (WHERE is_archived) AS is_archived,
      max(arrived_at) AS arrived_at, max(settled_at) FILTER (WHERE is_archived) AS settled_at
    FROM kept_place GROUP BY inlet, number),
  request AS (
    SELECT inlet, number, greatest(coalesce(a.records, 0), coalesce(k.records, 0)) AS records, coalesce(arrivals, 0) + coalesce(items, 0) AS entries,
      coalesce(arrived, '{}') + coalesce(places, '{}') AS there, coalesce(places, '{}') AS kept, coalesce(released, '{}') AS released, coalesce(is_archived, '{}') AS is_archived,
      arrived_at, settled_at
    FROM archived a FULL JOIN kept k USING (inlet, number)),
  sized AS (
    SELECT *, int4multirange(int4range(0, records)) AS whole, (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(there) AS r) AS size,
      EXISTS (SELECT FROM taken_in t WHERE t.inlet = request.inlet AND request.number < t.next_offset) AS is_taken_in FROM request),
  weighed AS (
    SELECT inlet, number, records, size, arrived_at, settled_at, CASE
        WHEN records = 0 THEN 'unplaced'
        WHEN NOT there <@ whole THEN 'place-beyond'
        WHEN entries <> size AND NOT starts_with(inlet, '${TOPIC_INLET}') THEN 'place-doubled'
        WHEN there <> whole AND isempty(kept) AND isempty(released) AND NOT (is_taken_in AND $1::timestamptz IS NULL) THEN 'unanswered'
        WHEN there <> whole THEN 'place-missing'
        WHEN NOT is_archived <@ released THEN 'release-missing'
        WHEN NOT released <@ kept THEN 'release-unknown'
        WHEN entries <> size THEN 'redelivered'
        ELSE 'complete' END AS verdict,
      CASE WHEN NOT there <@ whole THEN there - whole WHEN there <> whole THEN whole - there WHEN NOT is_archived <@ released THEN is_archived - released
        WHEN NOT released <@ kept THEN released - kept ELSE there END AS places
    FROM sized),
  judged AS (
    SELECT inlet, number, size, places, CASE
        WHEN verdict = 'place-missing' AND arrived_at >= $1::timestamptz THEN 'unjudged'
        WHEN verdict = 'release-missing' AND settled_at >= $1::timestamptz THEN 'unjudged'
        ELSE verdict END AS verdict
    FROM weighed)`

/** @param since of then or later is what may be under way; absent: nothing is */
export async function judgeRequests (db: Pick<ClientBase, 'query'>, since: EpochMs | undefined): Promise<readonly RequestCount[]> {
  const { rows } = await storeQuery<{ verdict: RequestVerdict, requests: number, places: number }>(db, `${JUDGED}
    SELECT verdict, count(*)::bigint AS requests, coalesce(sum(size), 0)::bigint AS places FROM judged GROUP BY verdict ORDER BY verdict`, [sinceDate(since)])
  return rows
}

/** The first of those that are not as they should be, with their places. */
export async function nameRequests (db: Pick<ClientBase, 'query'>, since: EpochMs | undefined, verdicts: readonly RequestVerdict[], limit: number): Promise<readonly NamedRequest[]> {
  const { rows } = await storeQuery<{ verdict: RequestVerdict, request: string, places: string }>(db, `${JUDGED}
    SELECT verdict, inlet || '/' || number AS request, left(places::text, 200) AS places FROM judged WHERE verdict = ANY($2::text[]) ORDER BY inlet, number LIMIT $3`, [sinceDate(since), verdicts, limit])
  return rows
}

function sinceDate (since: EpochMs | undefined): Date | null { return since === undefined ? null : new Date(since) }

export async function dropSnapshot (db: Pick<ClientBase, 'query'>): Promise<void> {
  await storeQuery(db, 'DROP TABLE IF EXISTS archived_place, kept_place, taken_in')
}
