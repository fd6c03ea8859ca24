/** Tests run on the Node that the product needs, or end with one line that names it. Also the set-up of the unit tests. */

import type { TestProject } from 'vitest/node'
import { leaveRoot, takeRoot } from './temporary-root.ts'

export function assertNode (): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 2)) return
  process.stderr.write(`these tests need Node 24.2 or newer, this is ${process.versions.node}: run them with 'npm test'\n`)
  process.exit(1)
}

export function setup (project: TestProject): void {
  assertNode()
  takeRoot(project)
}

export const teardown = leaveRoot
