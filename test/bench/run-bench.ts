/** Options and measurements -> lines, a result file and an exit code: 0 whatever the verdicts, 1 for wrong counts, failed requests or a crash. */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { BARS } from './bars.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { commitFacts, machineFacts, versionFacts } from './machine.ts'
import type { BenchOptions } from './options.ts'
import { type BarResult, HEAD, lineOf, resultOf, skippedResult } from './report.ts'

/** Bars that are measured together. */
export interface BenchGroup {
  bars: readonly string[]
  run (context: BenchContext, wanted: ReadonlySet<string>): Promise<Outcomes>
}

export interface RunParts {
  groups: readonly BenchGroup[]
  context: BenchContext
  /** Of this run; something to measure the disk in. */
  folder: string
  resultsFolder: string
  print: (line: string) => void
  fail: (line: string) => void
}

export async function runBench (parts: RunParts): Promise<0 | 1> {
  const startedAt = new Date(parts.context.now())
  const outcomes: Outcomes = {}
  try {
    for (const group of parts.groups) {
      const wanted = new Set(group.bars.filter(id => isWanted(parts.context.options, id)))
      if (wanted.size > 0) Object.assign(outcomes, await group.run(parts.context, wanted))
    }
  } catch (error) {
    parts.fail(`the bench ended: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
    return 1
  }
  const bars = BARS.filter(({ id }) => isWanted(parts.context.options, id)).map((bar): BarResult => {
    const outcome = bar.notBuilt === undefined ? outcomes[bar.id] ?? { skipped: 'not measured' } : { skipped: `not built: ${bar.notBuilt}` }
    return 'skipped' in outcome ? skippedResult(bar, outcome.skipped) : resultOf(bar, outcome)
  })
  const { quick } = parts.context.options
  for (const line of [...(quick ? ['quick: to see that it runs, never to quote'] : []), HEAD, ...bars.map(lineOf)]) parts.print(line)
  const file = await writeResult(parts, startedAt, bars)
  parts.print(file)
  return 0
}

function isWanted ({ only }: BenchOptions, id: string): boolean { return only === undefined || only.has(id) }

/** @throws Error when the result is not what its schema says: nothing is written then */
async function writeResult ({ context, folder, resultsFolder }: RunParts, startedAt: Date, bars: readonly BarResult[]): Promise<string> {
  const { oxbow, versions } = versionFacts()
  const { commit, dirty } = commitFacts()
  const result = {
    oxbow, commit, dirty, startedAt: startedAt.toISOString(), quick: context.options.quick, machine: machineFacts(folder), versions,
    settings: context.settings ?? { fsync: 'not looked at', synchronous_commit: 'not looked at', shared_buffers: 'not looked at' }, bars
  }
  await assertResult(result)
  await mkdir(resultsFolder, { recursive: true })
  const file = join(resultsFolder, `${commit}-${startedAt.toISOString().replaceAll(/[:.]/g, '-')}.json`)
  const text = `${JSON.stringify(result, null, 2)}\n`
  await writeFile(file, text)
  if (context.options.json !== undefined) await writeFile(context.options.json, text)
  return file
}

export async function assertResult (result: unknown): Promise<void> {
  const schema = JSON.parse(await readFile(new URL('result.schema.json', import.meta.url), 'utf8')) as object
  const ajv = new Ajv({ allErrors: true })
  if (!ajv.validate(schema, JSON.parse(JSON.stringify(result)))) throw new Error(`the result is not what its schema says: ${ajv.errorsText()}`)
}
