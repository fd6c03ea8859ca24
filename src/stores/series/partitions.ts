/** Days and months that rows are about to need -> their partitions exist, and the days of each series are noted. */

import type { Pool } from 'pg'
import { DAY_MS } from '../../model/units.ts'
import { timeParameter, dayOf, dayParameter } from './sql-values.ts'
import { rowsOf } from './query.ts'

export interface Partitions {
  /** @returns the oldest of these days; Infinity: there is none */
  ensureDays (times: Iterable<{ takenAt: number }>): Promise<number>
  ensureMonths (times: Iterable<{ windowStart: number }>): Promise<void>
  /** Retentions so far, where readings stand in a hypertable: it takes any day, so a commit must say up to which retention its notes of days hold. */
  drops (): Promise<number | undefined>
  /** Another process made or dropped some: resolves when that has reached every session, and everything is looked up again. */
  forget (): Promise<void>
}

export function createPartitions (pool: Pool): Partitions {
  const days = new Set<number>()
  const months = new Set<string>()
  let drops: { count: number | undefined } | undefined
  return {
    async drops () {
      if (drops === undefined) {
        const [row] = await rowsOf(pool, 'select drops from series.hypertable')
        drops = { count: row?.[0] as number | undefined }
      }
      return drops.count
    },
    async ensureDays (times) {
      const missing = new Set<number>()
      let last = Number.NaN
      let oldest = Infinity
      for (const { takenAt } of times) {
        const day = dayOf(takenAt)
        if (day === last) continue
        last = day
        oldest = Math.min(oldest, day)
        if (!days.has(day)) missing.add(day)
      }
      for (const day of missing) {
        await rowsOf(pool, 'select series.ensure_day($1)', [dayParameter(day)])
        days.add(day)
      }
      return oldest
    },
    async ensureMonths (times) {
      let lastDay = Number.NaN
      for (const { windowStart } of times) {
        const day = dayOf(windowStart)
        if (day === lastDay) continue
        lastDay = day
        const month = timeParameter(windowStart).slice(0, 7)
        if (months.has(month)) continue
        await rowsOf(pool, 'select series.ensure_month($1)', [`${month}-01`])
        months.add(month)
      }
    },
    async forget () {
      // Whoever makes partitions has this lock until all sessions were told; they can be seen a moment before that (migrations/0001-series.sql).
      await rowsOf(pool, "select pg_advisory_xact_lock_shared(hashtext('oxbow series partitions'))")
      days.clear()
      months.clear()
      drops = undefined
    }
  }
}

export interface DayNotes {
  /** Pairs not known to be noted; `remember` them once they are. */
  missing (rows: Iterable<{ series: number, takenAt: number }>, into: Map<number, Set<number>>): void
  remember (pairs: ReadonlyMap<number, ReadonlySet<number>>): void
  forget (): void
}

/** Remembers the latest noted day of each series: what comes for an older one is noted again, which changes nothing. */
export function createDayNotes (): DayNotes {
  const latest = new Map<number, number>()
  return {
    missing (rows, into) {
      for (const { series, takenAt } of rows) {
        const day = Math.floor(takenAt / DAY_MS)
        if (latest.get(series) === day) continue
        const noted = into.get(series)
        if (noted === undefined) into.set(series, new Set([day]))
        else noted.add(day)
      }
    },
    remember (pairs) {
      for (const [series, noted] of pairs) latest.set(series, Math.max(latest.get(series) ?? -Infinity, ...noted))
    },
    forget: () => latest.clear()
  }
}
