/** Everything that stands in a database, as text, table by table. */

import { pipeline } from 'node:stream/promises'
import type { Pool } from 'pg'
import { to } from 'pg-copy-streams'
import { withClient } from '../../src/platform/postgres/pool.ts'

export interface TableDump { table: string, columns: readonly string[], bytes: Buffer }

/** Every table of our own schemas, partitions and chunks with their parents. */
export async function dumpTables (owner: Pool): Promise<TableDump[]> {
  const { rows } = await owner.query<{ schema: string, name: string, columns: string[] }>(
    `select n.nspname as schema, c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
       from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relkind in ('r', 'p', 'm') and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^(pg_(toast|temp)|_?timescaledb)'
      group by n.nspname, c.relname order by 1, 2`)
  const dumps: TableDump[] = []
  for (const { schema, name, columns } of rows) {
    dumps.push({ table: `${schema}.${name}`, columns, bytes: await copyOut(owner, `COPY (SELECT * FROM "${schema}"."${name}") TO STDOUT`) })
  }
  return dumps
}

async function copyOut (owner: Pool, sql: string): Promise<Buffer> {
  return withClient(owner, async client => {
    const chunks: Buffer[] = []
    const stream = client.query(to(sql))
    await pipeline(stream, async source => { for await (const chunk of source) chunks.push(chunk as Buffer) })
    return Buffer.concat(chunks)
  })
}

/** Distinct values with the column where each stands first: those inside JSON and arrays one by one. */
export function scalarsOf (dumps: readonly TableDump[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const { table, columns, bytes } of dumps) {
    for (const line of bytes.toString('utf8').split('\n')) {
      for (const [place, cell] of line.split('\t').entries()) {
        for (const value of valuesOf(cell.replaceAll('\\\\', '\\'))) if (!found.has(value)) found.set(value, `${table}.${columns[place]}`)
      }
    }
  }
  return found
}

function valuesOf (cell: string): string[] {
  if (cell === '\\N' || cell === '') return []
  if (/^[[{"]/.test(cell)) {
    try {
      return leavesOf(JSON.parse(cell))
    } catch { /* an array of PostgreSQL, or plain text */ }
  }
  return cell.startsWith('{') ? cell.slice(1, -1).split(',').map(item => item.replaceAll('"', '')) : [cell]
}

function leavesOf (value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(leavesOf)
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(leavesOf)
  return value === null ? [] : [String(value)]
}
