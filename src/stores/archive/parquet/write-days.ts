/** Days whose readings changed -> their Parquet files: one version after another, each whole. What was begun when a process ended is finished or removed by the next. */

import type { Pool } from 'pg'
import { build } from '../../../config/product.ts'
import type { Calibration } from '../../../model/calibration.ts'
import type { DeviceModels } from '../../../model/device-model.ts'
import { ServiceError } from '../../../model/errors.ts'
import type { ModelKey, Sid, StoredReading } from '../../../model/reading.ts'
import { DAY_MS, type EpochMs } from '../../../model/units.ts'
import type { ObjectStore } from '../../../platform/objects/object-store.ts'
import type { HeldKey } from '../../../security/data-keys.ts'
import { alone, currentFile, finishFile, type NewFile, nextVersion, noteRemoved, reserveFile, supersede, unneededNames } from './catalogue.ts'
import { createDayEncoder, PAGE_ROWS } from './encode-day.ts'
import { digestOf, drawName, sealDay } from './seal-day.ts'

/** A day of a series whose readings changed; as the series store tells it. */
export interface ChangedDay { series: number, sid: Sid, model: ModelKey, day: number, number: number, life: number }

/** What the series store answers. Days count from 1970-01-01, UTC. */
export interface DaySource {
  /** Changes of this day and those before are told from now on; where much is new, some of it: the next call goes on. */
  watch (through: number): Promise<void>
  /** The highest number of a change that is not settled. */
  pending (): Promise<{ highest: number }>
  /** Those with a number of at most `number` behind `after`, ascending by number, series and day. */
  changed (number: number, limit: number, after?: ChangedDay): Promise<readonly ChangedDay[]>
  pages (of: ChangedDay, rowsMax: number): AsyncIterable<readonly StoredReading[]>
  isUnchanged (of: ChangedDay): Promise<boolean>
  settle (of: ChangedDay): Promise<void>
}

export interface DayWriterParts {
  /** Login `oxbow_archive`. */
  pool: Pool
  objects: ObjectStore
  days: DaySource
  models: DeviceModels
  /** Recorded calibrations of the device behind a sid. */
  calibrationsOf: (sid: Sid) => Promise<readonly Calibration[]>
  /** `undefined`: it was destroyed. */
  keyOf: (sid: Sid) => Promise<HeldKey | undefined>
  /** A day is written when it is over, and its readings have not changed, for so long. */
  quietMs: number
  /** Most days of one turn. */
  daysMax: number
  now: () => EpochMs
  /** Between two row groups: others have work to do. */
  rest: () => Promise<unknown>
}

export interface TurnReport { written: number, bytes: number, rows: number, /** Whose key was destroyed. */ erased: number, /** What kept a day from being written; it is tried again. */ errors: unknown[] }

export interface DayWriter {
  /** One at a time; `undefined`: another process does it. @throws what kept it from beginning */
  turn (signal: AbortSignal): Promise<TurnReport | undefined>
}

/** Objects removed in one turn. */
const REMOVED_MAX = 1_000

export function createDayWriter (parts: DayWriterParts): DayWriter {
  const { pool, days, quietMs, daysMax, now } = parts
  const isQuiet = createQuiet(quietMs)
  let after: ChangedDay | undefined

  async function turn (signal: AbortSignal): Promise<TurnReport> {
    const report: TurnReport = { written: 0, bytes: 0, rows: 0, erased: 0, errors: [] }
    await removeUnneeded(parts)
    await days.watch(Math.floor((now() - quietMs) / DAY_MS) - 1)
    const through = isQuiet(now(), (await days.pending()).highest)
    const found = await days.changed(through, daysMax, after)
    for (const day of found) {
      if (signal.aborted) return report
      try {
        await writeDay(parts, day, report, signal)
      } catch (error) {
        if (signal.aborted) return report
        report.errors.push(error)
      }
    }
    // One that cannot be written keeps no other from its turn.
    after = found.length < daysMax ? undefined : found.at(-1)
    return report
  }
  return { turn: signal => alone(pool, () => turn(signal)) }
}

/** Highest number of a change that was there so long ago, by what earlier turns have seen. Days that only began to be watched have 0 and wait for nothing. */
function createQuiet (quietMs: number): (now: number, highest: number) => number {
  let quiet = 0
  let seen: { at: number, highest: number } | undefined
  return (now, highest) => {
    if (seen === undefined || now - seen.at >= quietMs) {
      quiet = seen?.highest ?? 0
      seen = { at: now, highest }
    }
    return quiet
  }
}

async function removeUnneeded ({ pool, objects, now }: DayWriterParts): Promise<void> {
  for (const name of await unneededNames(pool, REMOVED_MAX)) {
    await objects.remove(name)
    await noteRemoved(pool, name, now())
  }
}

async function writeDay (parts: DayWriterParts, of: ChangedDay, report: TurnReport, signal: AbortSignal): Promise<void> {
  const { pool, days, now } = parts
  // A process may have ended between the file and its settlement.
  if ((await currentFile(pool, of))?.change === of.number) return days.settle(of)
  const key = await parts.keyOf(of.sid)
  if (key === undefined) {
    report.erased++
    return days.settle(of)
  }
  const version = await nextVersion(pool, of)
  const encoder = await encode(parts, of, version, signal)
  // What was read is one state of the day, or it is read again.
  if (!await days.isUnchanged(of)) return
  if (encoder.rows === 0) await supersede(pool, of, now())
  else report.bytes += await keep(parts, { ...fileOf(of), version, name: drawName(), keyId: key.id }, key, encoder)
  await days.settle(of)
  report.written++
  report.rows += encoder.rows
}

function fileOf ({ series, day, life, number }: ChangedDay): Pick<NewFile, 'series' | 'day' | 'life' | 'change' | 'pipelineVersion'> {
  return { series, day, life, change: number, pipelineVersion: build() }
}

async function encode ({ days, models, calibrationsOf, rest }: DayWriterParts, of: ChangedDay, version: number, signal: AbortSignal) {
  const model = models.get(of.model)
  if (model === undefined) throw new ServiceError('incorrect', 'MODEL_INVALID', `readings of ${of.model} cannot be written as Parquet: put its file back into mappings/models`)
  const encoder = createDayEncoder({
    sid: of.sid, model, calibrations: await calibrationsOf(of.sid), day: of.day, version, change: of.number, pipelineVersion: build()
  })
  for await (const page of days.pages(of, PAGE_ROWS)) {
    signal.throwIfAborted()
    encoder.add(page)
    await rest()
  }
  return encoder
}

/** @returns bytes of the object */
async function keep ({ pool, objects, now }: DayWriterParts, file: NewFile, { key }: HeldKey, encoder: ReturnType<typeof createDayEncoder>): Promise<number> {
  const object = sealDay(key, file.name, encoder.finish())
  await reserveFile(pool, file, now())
  await objects.put(file.name, object)
  try {
    await finishFile(pool, file, { rows: encoder.rows, bytes: object.length, sha256: digestOf(object), now: now() })
  } catch (error) {
    // Nobody looks for it under this name any more. Any other outcome is unknown: the next turn sees what stands in the catalogue.
    if (error instanceof ServiceError && error.code === 'STORE_CONFLICT') await objects.remove(file.name)
    throw error
  }
  return object.length
}
