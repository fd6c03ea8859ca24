/** What a test is called -> an empty folder of its own, to be removed by that test: what is left at the end fails the run (`temporary-root.ts`). */

import { chmodSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'

/** The user that PostgreSQL runs as can enter it, also when the tests run as root. */
export function temporaryFolder (name: string): string {
  const folder = mkdtempSync(join(inject('temporaryRoot'), `${name}-`))
  chmodSync(folder, 0o755)
  return folder
}
