/** A series store, real keys, a folder of objects and the catalogue: what Parquet files are written from and to. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool } from 'pg'
import type { Calibration } from '../../src/model/calibration.ts'
import { modelKey } from '../../src/model/device-model.ts'
import type { Sid } from '../../src/model/reading.ts'
import { type EpochMs, epochMs } from '../../src/model/units.ts'
import type { KeyRing } from '../../src/platform/keys/key-ring.ts'
import { createLocalKeyRing } from '../../src/platform/keys/local.ts'
import { openDiskStore } from '../../src/platform/objects/disk.ts'
import type { ObjectStore } from '../../src/platform/objects/object-store.ts'
import { createDataKeys, type HeldKey, OF_SID } from '../../src/security/data-keys.ts'
import { drawSid } from '../../src/security/sid.ts'
import { createParquetView, type ParquetView } from '../../src/stores/archive/parquet/parquet-view.ts'
import { createDayWriter, type DayWriter, type DayWriterParts, type TurnReport } from '../../src/stores/archive/parquet/write-days.ts'
import { createSeriesStore, type SeriesStore } from '../../src/stores/series/series-store.ts'
import { MODEL } from './parquet.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const QUIET_MS = 3_600_000

export interface ParquetSystem {
  /** Changed by tests. */
  now: EpochMs
  bus: TestDatabase
  /** Login `oxbow_archive`. */
  pool: Pool
  series: SeriesStore
  seriesOwner: Pool
  objects: ObjectStore
  calibrations: Calibration[]
  view: ParquetView
  /** A series of its own. */
  newSeries (): Promise<{ series: number, sid: Sid }>
  keyOf (sid: Sid): Promise<HeldKey | undefined>
  destroyKey (sid: Sid): Promise<void>
  writer (change?: Partial<DayWriterParts>): DayWriter
  /** One turn of a writer. */
  turn (writer: DayWriter): Promise<TurnReport>
  /** Names of the objects in the folder. */
  names (): Promise<string[]>
  close (): Promise<void>
}

export async function parquetSystem (): Promise<ParquetSystem> {
  const [bus, seriesDatabase, keys] = await Promise.all([testDatabase('bus'), testDatabase('series'), testDatabase('keys')])
  const folder = temporaryFolder('parquet')
  const clock = { now: epochMs(Date.UTC(2026, 1, 12, 12)) }
  const now = () => clock.now
  const keyRing: KeyRing = await createLocalKeyRing({ file: join(folder, 'keys.json'), pool: keys.pool, now })
  const dataKeys = createDataKeys({ keyRing, now })
  const series = createSeriesStore(seriesDatabase.pool)
  const objects = await openDiskStore({ folder: join(folder, 'archive'), now })
  const keyOf = async (sid: Sid) => (await dataKeys.heldForSids([sid])).get(sid)
  const pool = bus.poolOf('oxbow_archive')
  const system: ParquetSystem = {
    get now () { return clock.now },
    set now (time) { clock.now = time },
    bus, pool, series, objects, keyOf,
    seriesOwner: seriesDatabase.owner,
    calibrations: [],
    view: createParquetView({
      pool, objects, keyOf,
      seriesOf: async device => device.startsWith('series-') ? device.slice(7).split('+').map(Number) : undefined,
      sidOf: async number => (await series.sidsOf([number])).get(number)?.sid,
      unsettled: series.days.unsettled
    }),
    newSeries: async () => {
      const sid = drawSid()
      return { sid, series: (await series.series([{ sid, model: modelKey(MODEL), partition: 0 }])).get(sid)! }
    },
    destroyKey: async sid => {
      await keyRing.destroy((await keyRing.dek('archive', OF_SID(sid))).id, 'test')
      dataKeys.forget(sid)
    },
    writer: (change = {}) => createDayWriter({
      pool, objects, days: series.days, models: new Map([[modelKey(MODEL), MODEL]]), calibrationsOf: async () => system.calibrations, keyOf,
      quietMs: QUIET_MS, daysMax: 100, now, rest: async () => {}, ...change
    }),
    turn: async writer => (await writer.turn(new AbortController().signal))!,
    names: async () => {
      const found: string[] = []
      for await (const { name } of objects.list('')) found.push(name)
      return found
    },
    close: async () => {
      await Promise.all([bus.drop(), seriesDatabase.drop(), keys.drop()])
      await rm(folder, { recursive: true, force: true })
    }
  }
  return system
}
