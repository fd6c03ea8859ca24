/** Rows of a copy buffer → a table, alone; the product sends them together with other statements (`send-batch.ts`). */

import { once } from 'node:events'
import type { ClientBase } from 'pg'
import { from } from 'pg-copy-streams'
import type { CopyBuffer } from '../../src/platform/postgres/copy.ts'

/** @param sql `COPY t (a, b) FROM STDIN (FORMAT binary)`. @returns the number of rows */
export async function copyInto (client: ClientBase, sql: string, copy: CopyBuffer): Promise<number> {
  const stream = client.query(from(sql))
  const finished = once(stream, 'finish')
  stream.end(copy.bytes())
  await finished
  return stream.rowCount
}
