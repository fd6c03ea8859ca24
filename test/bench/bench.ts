/** `npm run bench`: measures every bar on this machine against the limit of this machine, in the same run (performance.md §6–§9). */

import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createContext } from './bench-context.ts'
import { ARCHIVE_BARS, benchArchive } from './archive.bench.ts'
import { benchColdStart, COLD_START_BARS } from './cold-start.bench.ts'
import { benchConsume, benchConsumeKafka, CONSUME_BARS, CONSUME_KAFKA_BARS } from './consume.bench.ts'
import { benchCrash, CRASH_BARS } from './crash.bench.ts'
import { benchDevices, DEVICE_BARS } from './devices.bench.ts'
import { benchGrowth, GROWTH_BARS } from './growth.bench.ts'
import { benchIngest, benchIngestKafka, benchSingle, INGEST_BARS, INGEST_KAFKA_BARS, SINGLE_BARS } from './ingest.bench.ts'
import { benchLag, LAG_BARS } from './lag.bench.ts'
import { benchMemory, MEMORY_BARS } from './memory.bench.ts'
import { type BenchOptions, parseOptions, USAGE } from './options.ts'
import { type BarResult, compareResults } from './report.ts'
import { type BenchGroup, runBench } from './run-bench.ts'
import { ROOT } from './server.ts'
import { benchTimescale, TIMESCALE_BARS } from './timescale.bench.ts'
import { benchViews, VIEW_BARS } from './views.bench.ts'

const GROUPS: readonly BenchGroup[] = [
  { bars: INGEST_BARS, run: benchIngest },
  { bars: INGEST_KAFKA_BARS, run: benchIngestKafka },
  { bars: SINGLE_BARS, run: benchSingle },
  { bars: CONSUME_BARS, run: benchConsume },
  { bars: CONSUME_KAFKA_BARS, run: benchConsumeKafka },
  { bars: LAG_BARS, run: benchLag },
  { bars: DEVICE_BARS, run: benchDevices },
  { bars: GROWTH_BARS, run: benchGrowth },
  { bars: VIEW_BARS, run: benchViews },
  { bars: ARCHIVE_BARS, run: benchArchive },
  { bars: TIMESCALE_BARS, run: benchTimescale },
  { bars: CRASH_BARS, run: benchCrash },
  { bars: MEMORY_BARS, run: benchMemory },
  { bars: COLD_START_BARS, run: benchColdStart }
]

const print = (line: string) => { process.stdout.write(`${line}\n`) }
const say = (line: string) => { process.stderr.write(`${line}\n`) }

async function main (args: readonly string[]): Promise<0 | 1 | 2> {
  let options: BenchOptions | undefined
  try {
    options = parseOptions(args)
  } catch (error) {
    say(`${error instanceof Error ? error.message : 'wrong use'}\n\n${USAGE}`)
    return 2
  }
  if (options === undefined) {
    print(USAGE)
    return 0
  }
  if (options.compare !== undefined) {
    const [before, after] = await Promise.all(options.compare.map(async file => (JSON.parse(await readFile(file, 'utf8')) as { bars: BarResult[] }).bars))
    for (const line of compareResults(before!, after!)) print(line)
    return 0
  }
  const base = await mkdtemp(join(tmpdir(), 'oxbow-bench-'))
  await chmod(base, 0o755)
  try {
    const context = createContext(options, base, { now: Date.now, say })
    const code = await runBench({ groups: GROUPS, context, folder: base, resultsFolder: join(ROOT, 'bench-results'), print, fail: say })
    if (code !== 0) await sayLogs(base)
    return code
  } finally {
    await rm(base, { recursive: true, force: true, maxRetries: 5 })
  }
}

const LOG_LINES_MAX = 20

/** The end of every server's log: the folder is about to be removed. */
async function sayLogs (base: string): Promise<void> {
  for (const name of (await readdir(base, { recursive: true })).filter(name => name.endsWith('data.log'))) {
    const lines = (await readFile(join(base, name), 'utf8')).trimEnd().split('\n')
    say([`${name}:`, ...lines.slice(-LOG_LINES_MAX)].join('\n'))
  }
}

process.exitCode = await main(process.argv.slice(2))
