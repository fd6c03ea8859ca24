/** Arguments of `npm run bench` -> what to measure, and for how long. Pure. */

import { parseArgs } from 'node:util'
import { BARS } from './bars.ts'

export interface Seconds {
  warmUp: number
  /** Of one measured stretch. */
  stretch: number
}

export interface BenchOptions {
  /** Ids of bars; a group (`P1`) stands for all that begin with it. Absent: all. */
  only: ReadonlySet<string> | undefined
  quick: boolean
  growth: boolean
  /** Where the result is written besides `bench-results/`. */
  json: string | undefined
  compare: readonly [string, string] | undefined
  rounds: number
  /** Accepted rounds without which nothing is said. */
  roundsMin: number
  seconds: Seconds
}

export const USAGE = `Usage: npm run bench -- [options]

Measures every bar against the limit of this machine and prints a line for each.

  --only P1,P12   these bars only; P1 stands for P1j, P1a and what is measured with them, P1kj and P1ka (the same through Kafka) too
  --quick         2 rounds of 3 s, marked quick: to see that it runs, never to quote
  --growth        the growth bars P10 too (5e7 rows, 10 GB, 30 minutes)
  --json FILE     the result there as well
  --compare A B   two result files side by side, measures nothing
  --help          this text

P1kj, P1ka, P3k and P3l start a broker of Kafka, T1 to T5 a TimescaleDB: where the machine can have none, their lines say so. A1 and A2 are
the archive with 100 readings in a request and with one. What has neither floor nor target only informs.
`

const FULL = { rounds: 5, roundsMin: 3, seconds: { warmUp: 2, stretch: 8 } } as const
const QUICK = { rounds: 2, roundsMin: 1, seconds: { warmUp: 1, stretch: 3 } } as const

/** `undefined`: help was asked for. @throws Error naming what is wrong */
export function parseOptions (args: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: 'string' }, quick: { type: 'boolean', default: false }, growth: { type: 'boolean', default: false },
      json: { type: 'string' }, compare: { type: 'boolean', default: false }, help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return undefined
  if (positionals.length !== (values.compare ? 2 : 0)) throw new Error('--compare needs two result files, and nothing else takes any')
  return {
    only: values.only === undefined ? undefined : idsOf(values.only),
    quick: values.quick,
    growth: values.growth || (values.only ?? '').includes('P10'),
    json: values.json,
    compare: values.compare ? [positionals[0]!, positionals[1]!] : undefined,
    ...(values.quick ? QUICK : FULL)
  }
}

/** A bar's id, or a group: the id without its last letters. */
function idsOf (text: string): ReadonlySet<string> {
  const ids = text.split(',').flatMap(wanted => {
    const found = BARS.map(({ id }) => id).filter(id => id === wanted || id.replace(/[a-z]+$/, '') === wanted)
    if (found.length === 0) throw new Error(`no such bar: ${wanted}`)
    return found
  })
  return new Set(ids)
}
