/** Firmware text of a device ↔ number: the series store knows the number only. */

import { hash } from 'node:crypto'
import type { Pool } from 'pg'
import type { FirmwareNumber } from '../../model/identity.ts'
import type { Database } from './resource.ts'

export interface FirmwareOptions {
  pool: Pool
  /** Texts kept in memory. Default 10,000. */
  keptMax?: number
}

/** A longer text is cut and ends in its hash, so that different texts stay different. */
const TEXT_LENGTH_MAX = 128

/** The same text always has the same number, in every process; `''` is 0. @throws when the database does not answer */
export function createFirmwareNumber ({ pool, keptMax = 10_000 }: FirmwareOptions): FirmwareNumber {
  const kept = new Map<string, number | Promise<number>>()
  return version => {
    if (version === '') return 0
    // Before it is bounded: nearly every reading brings a text that is known as it stands.
    const known = kept.get(version) ?? kept.get(bounded(version))
    if (known !== undefined) return known
    const text = bounded(version)
    const asked = numberOf(pool, text).then(number => {
      kept.set(text, number)
      return number
    }, error => {
      kept.delete(text)
      throw error
    })
    if (kept.size >= keptMax) kept.delete(kept.keys().next().value!)
    kept.set(text, asked)
    return asked
  }
}

/** Texts by number; an unknown number is missing. */
export async function firmwareTexts (db: Database, numbers: readonly number[]): Promise<Map<number, string>> {
  const { rows } = await db.query<{ number: number, version: string }>('select number, version from linkage.firmware where number = any($1)', [numbers])
  return new Map(rows.map(row => [row.number, row.version]))
}

async function numberOf (pool: Pool, text: string): Promise<number> {
  // A statement sees its own snapshot only: what another process inserts meanwhile is found by the second look.
  for (const sql of [
    'select number from linkage.firmware where version = $1',
    'insert into linkage.firmware (version) values ($1) on conflict (version) do nothing returning number',
    'select number from linkage.firmware where version = $1'
  ]) {
    const { rows } = await pool.query<{ number: number }>(sql, [text])
    if (rows[0] !== undefined) return rows[0].number
  }
  throw new Error('a firmware number was neither found nor made')
}

function bounded (text: string): string {
  // NUL cannot stand in a PostgreSQL text.
  const clean = text.replaceAll('\0', '\ufffd')
  return clean.length <= TEXT_LENGTH_MAX ? clean : `${clean.slice(0, TEXT_LENGTH_MAX - 17)}~${hash('sha256', clean).slice(0, 16)}`
}
