/** One folder per test run for everything that tests put on disk (`temporary-folder.ts`): made by the first set-up, removed by the last teardown. */

import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder of this run. */
    temporaryRoot: string
  }
}

interface Shared { root: string, users: number }

// The modules of a global setup are loaded once per project; the folder is one per process.
const SHARED = Symbol.for('oxbow.test.temporary-root')
const store = globalThis as { [SHARED]?: Shared | undefined }

export function takeRoot (project: TestProject): string {
  store[SHARED] ??= { root: makeRoot(), users: 0 }
  store[SHARED].users++
  project.provide('temporaryRoot', store[SHARED].root)
  return store[SHARED].root
}

/** @throws Error, which fails the run, when a test left something behind */
export function leaveRoot (): void {
  const shared = store[SHARED]
  if (shared === undefined || --shared.users > 0) return
  store[SHARED] = undefined
  const left = readdirSync(shared.root)
  rmSync(shared.root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  if (left.length > 0) throw new Error(`tests left folders behind (removed now): ${left.join(', ')}`)
}

/** The user that PostgreSQL runs as can enter it. An interrupted run (Ctrl-C) does not reach the teardown. */
function makeRoot (): string {
  const root = mkdtempSync(join(tmpdir(), 'oxbow-test-'))
  chmodSync(root, 0o755)
  process.once('exit', () => { rmSync(root, { recursive: true, force: true, maxRetries: 5 }) })
  return root
}
