/** Texts that ledger rows refer to by version: recorded once, never changed. */

import type { Pool } from 'pg'
import { rowsOf } from './query.ts'

export interface PinnedText { version: string, body: string }

/** Records what is new and gives everything ever recorded. A version that is there already keeps its body: the caller compares. */
export async function recordTexts (pool: Pool, texts: readonly PinnedText[]): Promise<PinnedText[]> {
  await rowsOf(pool, 'insert into series.mapping (version, body) select * from unnest($1::text[], $2::text[]) on conflict do nothing',
    [texts.map(({ version }) => version), texts.map(({ body }) => body)])
  const rows = await rowsOf(pool, 'select version, body from series.mapping order by recorded_at, version')
  return rows.map(([version, body]) => ({ version: version as string, body: body as string }))
}
