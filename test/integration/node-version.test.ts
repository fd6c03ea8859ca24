/** Started with an older Node, each entrance ends at once with one line that names the version needed. */

import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** Node 24 that says it is Node 20: shows the guards themselves, on any machine. */
const PRETENDED = ['--import', `data:text/javascript,${encodeURIComponent("Object.defineProperty(process.versions, 'node', { value: '20.20.2' })")}`]
/** An older Node of the machine itself, where it has one. */
const OLD_NODE = (process.env['PATH'] ?? '').split(delimiter).filter(folder => !folder.includes('node_modules')).map(folder => join(folder, 'node')).find(isOld)

/** Not demanded by OXBOW_REQUIRE=all: a machine may well have no older Node, and the tests above show the guards themselves. */
const NO_OLD_NODE = OLD_NODE === undefined ? ' (skipped: no Node older than 24 on PATH)' : ''

let folder: string
beforeAll(() => { folder = temporaryFolder('node') })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

function isOld (program: string): boolean {
  try {
    return Number(execFileSync(program, ['-p', 'process.versions.node'], { encoding: 'utf8' }).split('.')[0]) < 24
  } catch {
    return false
  }
}

function run (program: string, args: readonly string[], cwd = process.cwd()) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: 60_000, env: { PATH: process.env['PATH'] } })
  return { status, stdout, lines: stderr.split('\n').filter(line => line !== '') }
}

const NAMES_IT = /^(oxbow needs|these tests need) Node 24\.2 or newer, this is 20\.\d+\.\d+: .+$/

test('the program', () => {
  const { status, stdout, lines } = run(process.execPath, [...PRETENDED, 'src/main.ts', '--help'])
  expect([status, stdout, lines.length]).toEqual([2, '', 1])
  expect(lines[0]).toMatch(NAMES_IT)
})

test('the tests', () => {
  const { status, lines } = run(process.execPath, [...PRETENDED, 'node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', '--project', 'integration', 'test/integration/node-version.test.ts'])
  expect(status).toBe(1)
  expect(lines.filter(line => NAMES_IT.test(line))).toHaveLength(1)
})

/** A project folder that is installed, with or without the Node that the install scripts fetch. */
function project (name: string, hasNode: boolean): string {
  const root = join(folder, name)
  mkdirSync(join(root, 'node_modules/node/bin'), { recursive: true })
  mkdirSync(join(root, 'src/cli'), { recursive: true })
  cpSync('src/cli/bootstrap.mjs', join(root, 'src/cli/bootstrap.mjs'))
  writeFileSync(join(root, 'package-lock.json'), '{}')
  writeFileSync(join(root, 'node_modules/.package-lock.json'), '{}')
  writeFileSync(join(root, 'node_modules/node/package.json'), JSON.stringify({ version: '24.21.0' }))
  if (hasNode) writeFileSync(join(root, 'node_modules/node/bin/node'), '')
  return root
}

test('the step before every npm script, where packages were installed without their scripts', () => {
  const { status, lines } = run(process.execPath, [...PRETENDED, 'src/cli/bootstrap.mjs'], project('without', false))
  expect([status, lines.length]).toEqual([1, 1])
  expect(lines[0]).toMatch(NAMES_IT)
  expect(run(process.execPath, [...PRETENDED, 'src/cli/bootstrap.mjs'], project('with', true))).toEqual({ status: 0, stdout: '', lines: [] })
})

test('the step before every npm script installs what is missing, and says so when it cannot', () => {
  const root = project('stale', true)
  rmSync(join(root, 'node_modules/.package-lock.json'))
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  for (const [exit, lines] of [[0, ['npm ci']], [1, ['npm ci', 'oxbow could not install its packages: see above what npm says']]] as const) {
    writeFileSync(join(bin, 'npm'), `#!/bin/sh\necho npm "$@"\nexit ${exit}\n`)
    chmodSync(join(bin, 'npm'), 0o755)
    const result = spawnSync(process.execPath, ['src/cli/bootstrap.mjs'], { cwd: root, encoding: 'utf8', env: { PATH: `${bin}${delimiter}${process.env['PATH']}` } })
    expect([result.status, result.stdout, result.stderr.split('\n').filter(line => line !== '')]).toEqual([exit, '', lines])
  }
})

test.skipIf(OLD_NODE === undefined)(`with an older Node of this machine: the step before the scripts, and the tests${NO_OLD_NODE}`, () => {
  const before = run(OLD_NODE!, ['src/cli/bootstrap.mjs'], project('old', false))
  expect([before.status, before.lines.length]).toEqual([1, 1])
  expect(before.lines[0]).toMatch(NAMES_IT)
  const tests = run(OLD_NODE!, [resolve('node_modules/vitest/vitest.mjs'), 'run', '--config', 'test/vitest.config.ts', '--project', 'integration', 'test/integration/node-version.test.ts'])
  expect(tests.status).toBe(1)
  expect(tests.lines.filter(line => NAMES_IT.test(line))).toHaveLength(1)
  // An older Node cannot read TypeScript: it ends before our first line, and says so in its own words.
  const program = run(OLD_NODE!, ['src/main.ts', '--help'])
  expect(program.status).not.toBe(0)
  expect(program.stdout).toBe('')
})
