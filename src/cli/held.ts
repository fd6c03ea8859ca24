/** `oxbow held`: a span of time → how many readings the store holds of each of its hours. */

import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { type EpochMs, epochMs, HOUR_MS, hourOf } from '../model/units.ts'
import { reachStores } from '../platform/postgres/open-stores.ts'
import { type HeldHour, heldByHour } from '../stores/series/held.ts'
import { wrongUse } from './given.ts'
import { EXIT, type Verb } from './verb.ts'

const HOURS_MAX = 31 * 24

const USAGE = `Usage: oxbow held [--from TIME] [--until TIME] [--json]

How many readings the store holds of each hour, by the time when they were taken, and of
how many periods in which a patient wore a device: after an outage, what is missing shows
as hours with fewer than those around them. Beside the server or without it.

  --from TIME    2026-02-11 or 2026-02-11T08:00Z; its hour is the first (default: a day before --until)
  --until TIME   its hour is the last (default: now); at most ${HOURS_MAX} hours
  --json         {"hours": [{"hour", "readings", "series"}]}
  --config FILE  settings as JSON, as for serve
  --help         this text

With plain PostgreSQL every reading of the span is counted at each call. With TimescaleDB
what is older than a day is counted beforehand, and what changes there shows within half
an hour.
`

const OPTIONS = { from: { type: 'string' }, until: { type: 'string' }, json: { type: 'boolean', default: false }, config: { type: 'string' } } as const

export const heldVerb: Verb = {
  name: 'held',
  summary: 'count the readings that the store holds, by hour',
  usage: USAGE,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    const until = epochMs((values.until === undefined ? hourOf(context.now()) : hourOfGiven(values.until, '--until')) + HOUR_MS)
    const from = values.from === undefined ? epochMs(until - 24 * HOUR_MS) : hourOfGiven(values.from, '--from')
    if (from >= until) throw wrongUse('--from lies behind --until')
    if (until - from > HOURS_MAX * HOUR_MS) throw wrongUse(`at most ${HOURS_MAX} hours (31 days) at once`)
    const stores = await reachStores(loadConfig(context.env, values.config))
    try {
      const hours = withEmptyHours(await heldByHour(stores.pool('oxbow_series'), from, until), from, until)
      context.stdout(values.json ? `${JSON.stringify({ hours: hours.map(row => ({ ...row, hour: textOf(row.hour) })) })}\n` : tableOf(hours))
    } finally {
      await stores.close()
    }
    return EXIT.done
  }
}

const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2}))?$/

/** A date alone is the beginning of its UTC day. */
function hourOfGiven (text: string, name: string): EpochMs {
  const time = TIME.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw wrongUse(`${name} must be a day such as 2026-02-11, or a time with its zone such as 2026-02-11T08:00Z`)
  return hourOf(epochMs(time))
}

function withEmptyHours (held: readonly HeldHour[], from: EpochMs, until: EpochMs): HeldHour[] {
  const byHour = new Map(held.map(row => [row.hour, row]))
  return Array.from({ length: (until - from) / HOUR_MS }, (_, n) => {
    const hour = epochMs(from + n * HOUR_MS)
    return byHour.get(hour) ?? { hour, readings: 0, series: 0 }
  })
}

/** `2026-02-11T08:00Z` */
function textOf (hour: EpochMs): string { return `${new Date(hour).toISOString().slice(0, 16)}Z` }

function tableOf (hours: readonly HeldHour[]): string {
  const lines = hours.map(({ hour, readings, series }) => `${textOf(hour)}  ${String(readings).padStart(12)}  ${String(series).padStart(7)}`)
  return ['hour                   readings   series', ...lines, ''].join('\n')
}
