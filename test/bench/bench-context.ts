/** What every measurement is given, and what it gives back. */

import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientBase } from 'pg'
import { assertDurable, type Settings } from './guard.ts'
import type { BenchOptions } from './options.ts'
import type { Measured } from './report.ts'

/** By bar: what was measured, or why it was not. */
export type Outcomes = Record<string, Measured | { skipped: string }>

export interface BenchContext {
  options: BenchOptions
  now: () => number
  /** A line of progress. */
  say: (text: string) => void
  /** An empty folder that PostgreSQL may enter; removed at the end of the bench. */
  folder (name: string): Promise<string>
  /** To be called on every series database that is measured. @throws Error when it does not keep what it acknowledged */
  assertDurable (series: ClientBase): Promise<void>
  /** Of the last database looked at. */
  settings: Settings | undefined
}

export function createContext (options: BenchOptions, base: string, parts: Pick<BenchContext, 'now' | 'say'>): BenchContext {
  let folders = 0
  const context: BenchContext = {
    ...parts,
    options,
    settings: undefined,
    async folder (name) {
      const folder = join(base, `${++folders}-${name}`)
      await mkdir(folder)
      await chmod(folder, 0o755)
      return folder
    },
    async assertDurable (series) { context.settings = await assertDurable(series) }
  }
  return context
}
