/** The second judge of FHIR, HAPI on Java, from beside the project: built once into a cache, asked with a line for each resource. */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Json } from './valid-resources.ts'

const SOURCE = fileURLToPath(new URL('../../../shared/fhir-judge/', import.meta.url))
const PROFILES = fileURLToPath(new URL('../../fhir-profiles/', import.meta.url))
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/fhir-judge/', import.meta.url))

/** Verdicts in the order of the resources: what it found wrong, as lines of level, place, id and text. */
export type Judge = (resources: readonly Json[]) => string[][]

/** @returns why there is none, where Java, Maven, its sources or its libraries are missing */
export function openJudge (): { judge: Judge } | { missing: string } {
  if (!existsSync(SOURCE)) return { missing: `${SOURCE} is not there` }
  for (const command of ['java', 'mvn']) if (spawnSync(command, ['--version']).error !== undefined) return { missing: `${command} is not installed` }
  try {
    const folder = build()
    return { judge: resources => ask(folder, resources) }
  } catch (error) {
    return { missing: `the judge could not be built: ${String((error as { stderr?: Buffer }).stderr ?? error).slice(0, 500)}` }
  }
}

/** A folder for each state of the sources. */
function build (): string {
  const main = readdirSync(join(SOURCE, 'src'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.java')).sort()
  const texts = [join(SOURCE, 'pom.xml'), ...main.map(name => join(SOURCE, 'src', name))].map(path => readFileSync(path, 'utf8'))
  const folder = join(CACHE, createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 16))
  if (existsSync(join(folder, 'target/classes/Judge.class'))) return folder
  mkdirSync(folder, { recursive: true })
  cpSync(SOURCE, folder, { recursive: true, mode: 0, force: true })
  // Libraries first: the class says that all is there.
  const maven = (...goals: string[]): void => { execFileSync('mvn', ['-B', '-q', ...goals], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], timeout: 600_000 }) }
  maven('dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=target/lib')
  maven('compile')
  return folder
}

function ask (folder: string, resources: readonly Json[]): string[][] {
  const { stdout, stderr, error } = spawnSync('java', [
    '-Xmx900m', '-cp', 'target/classes:target/lib/*', 'Judge', '--profiles', PROFILES, '--profiles', join(SOURCE, 'definitions'), '--min', 'error', '--stdin'
  ], { cwd: folder, input: resources.map(resource => JSON.stringify(resource)).join('\n') + '\n', encoding: 'utf8', maxBuffer: 64 * 1_048_576, timeout: 600_000 })
  if (error !== undefined) throw error
  const verdicts: string[][] = []
  let lines: string[] = []
  for (const line of stdout.split('\n')) {
    if (/^= (ok|FAIL)\t/.test(line)) {
      verdicts.push(lines)
      lines = []
    } else lines.push(line.trim())
  }
  if (verdicts.length !== resources.length) throw new Error(`the judge gave ${verdicts.length} verdicts on ${resources.length} resources: ${stderr.slice(0, 500)}`)
  return verdicts
}
