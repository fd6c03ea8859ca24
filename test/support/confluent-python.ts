/** Confluent's own clients for Python, from PyPI: installed once into a cache, asked to do what a device maker's program does. */

import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const VERSION = '2.16.1'
const FOLDER = fileURLToPath(new URL(`../../node_modules/.cache/confluent-kafka-${VERSION}/`, import.meta.url))
const INSTALL_TIMEOUT_MS = 300_000

/** Runs a script of this folder with these words; gives the object that it prints. */
export type ConfluentClient = (...words: string[]) => Promise<Record<string, unknown>>

/** @returns why there is none, where Python or its packages are missing */
export function openConfluentClient (script: 'confluent-client.py' | 'foreign-producer.py'): { client: ConfluentClient } | { missing: string } {
  if (spawnSync('python3', ['-c', 'import venv, ensurepip']).status !== 0) return { missing: 'python3 with venv is not installed' }
  try {
    install()
  } catch (error) {
    return { missing: `confluent-kafka could not be installed: ${String((error as { stderr?: Buffer }).stderr ?? error).slice(0, 500)}` }
  }
  return {
    client: async (...words) => {
      const { stdout } = await promisify(execFile)(join(FOLDER, 'bin/python'), [fileURLToPath(new URL(`./${script}`, import.meta.url)), ...words], { maxBuffer: 16 * 1_048_576 })
      return JSON.parse(stdout) as Record<string, unknown>
    }
  }
}

/** A file says that all is there: a half installed folder is made again. */
function install (): void {
  const done = join(FOLDER, 'installed')
  if (existsSync(done)) return
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  const run = (command: string, ...words: string[]): void => { execFileSync(command, words, { stdio: ['ignore', 'ignore', 'pipe'], timeout: INSTALL_TIMEOUT_MS }) }
  run('python3', '-m', 'venv', FOLDER)
  run(join(FOLDER, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', `confluent-kafka[schemaregistry,avro,json,protobuf]==${VERSION}`)
  writeFileSync(done, '')
}
