/** The limit L: binary COPY, 10,000 rows a commit, one connection, into the product's own table shape. */

import type { PoolClient } from 'pg'
import { createCopyBuffer } from '../../../src/platform/postgres/copy.ts'
import { sendBatch } from '../../../src/platform/postgres/send-batch.ts'
import { READING_COLUMNS } from '../../../src/stores/series/reading-row.ts'
import { WrongResult } from '../counts.ts'
import type { Seconds } from '../options.ts'
import type { LimitTable } from './limit-table.ts'

export const COPY_LIMIT = 'copy-binary-10000'
const ROWS_PER_COMMIT = 10_000
const COPY_TEXT = `copy series.reading (${READING_COLUMNS}) from stdin (format binary)`

/** Rows per second over one stretch into the emptied table. @throws WrongResult when a row is missing */
export async function measureCopy (table: LimitTable, { warmUp, stretch }: Seconds): Promise<number> {
  await table.empty()
  const copy = createCopyBuffer(4 << 20)
  const commit = async () => {
    copy.reset()
    table.encode(copy, ROWS_PER_COMMIT)
    await sendBatch(table.client as unknown as PoolClient, [{ copy: COPY_TEXT, bytes: copy.bytes() }])
    return ROWS_PER_COMMIT
  }
  const warm = await repeat(commit, warmUp)
  const measured = await repeat(commit, stretch)
  const rows = await table.countRows()
  if (rows !== warm.count + measured.count) throw new WrongResult(`the limit copied ${warm.count + measured.count} rows, ${rows} are there`)
  return measured.count / measured.seconds
}

/** Rows per second of prepared single-row INSERTs, each a commit of its own. */
export async function measureSingleInsert (table: LimitTable, { warmUp, stretch }: Seconds): Promise<number> {
  await table.empty()
  const columns = READING_COLUMNS.split(', ')
  const text = `insert into series.reading (${READING_COLUMNS}) values (${columns.map((_, index) => `$${index + 1}`).join(', ')})`
  const insert = async () => {
    const { series, schemaId, takenAt, sequence, offset, firmware, flags, partition, quality, battery, values } = table.next()
    const absent = new Array<null>(columns.length - 10 - values.length).fill(null)
    await table.client.query({ name: 'single', text, values: [series, schemaId, new Date(takenAt), sequence, offset, firmware, flags, partition, quality, battery, ...values, ...absent] })
    return 1
  }
  await repeat(insert, warmUp)
  const measured = await repeat(insert, stretch)
  return measured.count / measured.seconds
}

async function repeat (work: () => Promise<number>, seconds: number): Promise<{ count: number, seconds: number }> {
  const startedAt = performance.now()
  let count = 0
  while (performance.now() - startedAt < seconds * 1_000) count += await work()
  return { count, seconds: (performance.now() - startedAt) / 1_000 }
}
