/** A cluster's superuser connection -> its settings; refuses to measure a PostgreSQL that does not keep what it acknowledged (performance.md, acceptance 7). */

import type { ClientBase } from 'pg'

const SHOWN = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'wal_level'] as const

export type Settings = Record<(typeof SHOWN)[number], string>

/** @param series on the series database @throws Error naming what is wrong */
export async function assertDurable (series: ClientBase): Promise<Settings> {
  const { rows } = await series.query<{ name: keyof Settings, setting: string }>('select name, current_setting(name) as setting from pg_settings where name = any($1)', [SHOWN])
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting])) as Settings
  const { rows: unlogged } = await series.query<{ relname: string }>("select relname from pg_class where relnamespace = 'series'::regnamespace and relpersistence <> 'p' order by relname")
  const problems = [
    ...(['fsync', 'synchronous_commit', 'full_page_writes'] as const).filter(name => settings[name] !== 'on').map(name => `${name} is ${settings[name]}`),
    ...unlogged.map(({ relname }) => `table ${relname} of series is unlogged`)
  ]
  if (problems.length > 0) throw new Error(`the bench refuses to run: ${problems.join(', ')}`)
  return settings
}
