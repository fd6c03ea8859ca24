/** What the jobs of TimescaleDB do by the clock, done now: tests run without them. */

import type { TestDatabase } from './postgres.ts'

/** Compresses every day of readings, however new. */
export async function compressAll ({ owner }: TestDatabase): Promise<void> {
  await owner.query("select compress_chunk(c) from show_chunks('series.reading') c")
}

/** Names of the jobs of the series database, ascending. */
export async function jobsOf ({ owner }: TestDatabase): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(`select proc_name as name from timescaledb_information.jobs where owner = 'oxbow_series_owner'::regrole order by 1`)
  return rows.map(({ name }) => name)
}

/** Runs one of them. */
export async function runJob ({ owner }: TestDatabase, name: string): Promise<void> {
  const { rows: [job] } = await owner.query<{ id: number }>('select job_id as id from timescaledb_information.jobs where proc_name = $1', [name])
  await owner.query(`call run_job(${Number(job!.id)})`)
}

/** Days of readings, and whether they stand compressed. */
export async function chunksOf ({ owner }: TestDatabase): Promise<{ day: string, compressed: boolean }[]> {
  const { rows } = await owner.query<{ day: string, compressed: boolean }>(
    `select to_char(range_start, 'YYYY-MM-DD') as day, is_compressed as compressed from timescaledb_information.chunks where hypertable_name = 'reading' order by 1`)
  return rows
}

/** Compressed batches that hold readings of a series. */
export async function batchesOf ({ owner }: TestDatabase, series: number): Promise<number> {
  const { rows } = await owner.query<{ name: string }>(
    `select format('%I.%I', c.schema_name, c.table_name) as name from _timescaledb_catalog.chunk c join _timescaledb_catalog.chunk o on o.compressed_chunk_id = c.id`)
  const counts = await Promise.all(rows.map(async ({ name }) => (await owner.query<{ n: number }>(`select count(*)::int as n from ${name} where series = $1`, [series])).rows[0]!.n))
  return counts.reduce((sum, count) => sum + count, 0)
}
