/** Whether this machine can have the test server of S3 and KMS; its Python environment is made once into a cache. */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const REQUIREMENTS = fileURLToPath(new URL('moto-requirements.txt', import.meta.url))
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/moto/', import.meta.url))
const INSTALL_TIMEOUT_MS = 600_000

/** Why there can be none; absent: there can. With `OXBOW_REQUIRE=all` there must be one. */
export function missingMoto (): string | undefined {
  if (process.env['OXBOW_REQUIRE'] === 'all') return undefined
  if (spawnSync('python3', ['--version']).error !== undefined) return 'no S3 and KMS: python3 is not installed'
  try {
    motoEnvironment()
    return undefined
  } catch (error) {
    return `no S3 and KMS: ${lastLine(error)}`
  }
}

/** Its Python; a folder for each state of the requirements. @throws Error */
export function motoEnvironment (): string {
  const folder = join(CACHE, createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 16))
  if (!existsSync(folder)) makeEnvironment(folder)
  return join(folder, 'bin', 'python')
}

/** Beside its place, and moved there whole: several test files may be making it. */
function makeEnvironment (folder: string): void {
  const draft = `${folder}.${randomBytes(6).toString('hex')}`
  mkdirSync(CACHE, { recursive: true })
  try {
    run('python3', '-m', 'venv', draft)
    run(join(draft, 'bin', 'python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '1', '--requirement', REQUIREMENTS)
    renameSync(draft, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function run (command: string, ...words: string[]): void { execFileSync(command, words, { stdio: ['ignore', 'pipe', 'pipe'], timeout: INSTALL_TIMEOUT_MS }) }

function lastLine (error: unknown): string {
  const { stderr, stdout } = error as { stderr?: Buffer, stdout?: Buffer }
  const said = `${stdout ?? ''}${stderr ?? ''}`.trim() || String(error)
  return `its server cannot be installed (python3-venv and PyPI are needed): ${said.split('\n').at(-1)!.slice(0, 300)}`
}
