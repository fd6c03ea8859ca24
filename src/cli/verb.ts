/** What a verb of the command line is; each verb is one file in this folder, listed in `verbs.ts`. */

import type { EpochMs } from '../model/units.ts'

export interface CliContext {
  /** The environment, read once in `main.ts`. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes the verb's result; nothing else may stand on standard output. */
  stdout (text: string): void
  /** Writes messages for people. */
  stderr (text: string): void
  /** Whether a person sees standard error as it is written: progress is shown only then. Absent: not. */
  readonly isTerminal?: boolean
  now (): EpochMs
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
}

/** Exit codes, kept from the first release on. */
export const EXIT = { done: 0, notSo: 1, wrongUse: 2 } as const

export interface Verb {
  name: string
  /** One line for the list of verbs. */
  summary: string
  /** The whole help text, printed by `--help`. */
  usage: string
  /** @returns exit code: 0 done, 1 not so, 2 wrong use. */
  run (args: readonly string[], context: CliContext): Promise<number>
}
