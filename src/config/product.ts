/** What the product itself brings: its version and commit, and the folders that ship with it. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string, gitHead?: string }

export const VERSION = PACKAGE.version

let known: { commit: string | undefined } | undefined

/** Commit of the code that runs, 40 hexadecimal digits, `-dirty` behind them where files differ from it: as the build recorded it (`gitHead` of its
 *  package.json), else as the clone says. `undefined`: neither does. */
export function commit (): string | undefined {
  known ??= { commit: PACKAGE.gitHead ?? commitOfClone() }
  return known.commit
}

function commitOfClone (): string | undefined {
  // Another project's repository may stand around this folder.
  if (!existsSync(join(ROOT, '.git'))) return undefined
  try {
    return execFileSync('git', ['describe', '--always', '--abbrev=40', '--exclude=*', '--dirty'], { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** Version, and commit where one is known as its build metadata (Semantic Versioning 2.0.0, §10): `0.1.0+1a2b…`. */
export function build (): string {
  const of = commit()
  return of === undefined ? VERSION : `${VERSION}+${of}`
}

/** Metric mappings, one file each. */
export const MAPPINGS_FOLDER = fileURLToPath(new URL('../../mappings', import.meta.url))

/** Device models, one file each. */
export const MODELS_FOLDER = fileURLToPath(new URL('../../mappings/models', import.meta.url))
