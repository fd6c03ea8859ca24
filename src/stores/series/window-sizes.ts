/** Sids -> the series behind them and how long their windows may be. */

import type { Pool } from 'pg'
import type { Sid } from '../../model/reading.ts'
import { rowsOf } from './query.ts'

export interface SeriesSize { number: number, sizeMs: number }

/** `sizeMs`: largest window that the series has closed, 0 when none; a sid that never held a reading is missing. */
export async function seriesSizes (pool: Pool, sids: readonly Sid[]): Promise<SeriesSize[]> {
  const rows = await rowsOf(pool, `select s.number, coalesce((select max(p.size_ms) from series.progress p where p.series = s.number), 0)
    from series.sid s where s.sid = any($1::text[])`, [sids])
  return rows.map(([number, sizeMs]) => ({ number: number as number, sizeMs: sizeMs as number }))
}
