/** What operators ask about Parquet files: which days are there, and one of them as it can be read. */

import type { Pool } from 'pg'
import { ServiceError } from '../../../model/errors.ts'
import type { Sid } from '../../../model/reading.ts'
import type { ObjectStore } from '../../../platform/objects/object-store.ts'
import type { HeldKey } from '../../../security/data-keys.ts'
import { currentFiles, type FileEntry, type FileFilter } from './catalogue.ts'
import { openDay } from './seal-day.ts'

export interface ListedFile extends FileEntry {
  /** False: readings of the day changed since; the next version comes when they are quiet. */
  isUpToDate: boolean
}

/** Whose files: those of a device, as it is named in telemetry, or of a series by its number. */
export type Whose = { device: string } | { series: number }

export interface FileChoice {
  whose: Whose
  /** Days since 1970-01-01, UTC. */
  day: number
  /** Where a day has more than one. */
  version?: number | undefined
}

export interface ParquetView {
  /** Current files by series, day and version; of everybody when `whose` is absent. */
  list (filter: { whose?: Whose | undefined, from?: number | undefined, to?: number | undefined }): AsyncIterable<ListedFile>
  /** @throws ServiceError not-found NOT_FOUND, KEY_DESTROYED; incorrect USAGE when the day has several; fault KEY_CONTEXT when the object was changed */
  open (choice: FileChoice): Promise<{ entry: FileEntry, file: Buffer }>
}

export interface ParquetViewParts {
  /** Login `oxbow_archive`. */
  pool: Pool
  objects: Pick<ObjectStore, 'get'>
  /** Series that hold or held readings of a device; `undefined`: nobody knows the device. */
  seriesOf: (device: string) => Promise<readonly number[] | undefined>
  sidOf: (series: number) => Promise<Sid | undefined>
  keyOf: (sid: Sid) => Promise<HeldKey | undefined>
  /** `series/day` of those that changed since their file was written. */
  unsettled: (keys: readonly { series: number, day: number }[]) => Promise<ReadonlySet<string>>
}

export function createParquetView (parts: ParquetViewParts): ParquetView {
  return { list: filter => list(parts, filter), open: choice => open(parts, choice) }
}

async function * list (parts: ParquetViewParts, { whose, from, to }: Parameters<ParquetView['list']>[0]): AsyncGenerator<ListedFile> {
  const filter: FileFilter = { series: whose === undefined ? undefined : await seriesOf(parts, whose), from, to }
  for await (const page of currentFiles(parts.pool, filter)) {
    const unsettled = await parts.unsettled(page)
    for (const entry of page) yield { ...entry, isUpToDate: !unsettled.has(`${entry.series}/${entry.day}`) }
  }
}

async function open (parts: ParquetViewParts, choice: FileChoice): Promise<{ entry: FileEntry, file: Buffer }> {
  for (let missing: string | undefined; ;) {
    const entry = await choose(parts, choice)
    const object = await parts.objects.get(entry.name).catch(error => {
      // A newer version may have taken its place since it was chosen.
      if (!(error instanceof ServiceError && error.code === 'OBJECT_MISSING') || entry.name === missing) throw error
      missing = entry.name
      return undefined
    })
    if (object === undefined) continue
    return { entry, file: openDay(await keyOf(parts, entry), entry.name, object) }
  }
}

async function choose (parts: ParquetViewParts, { whose, day, version }: FileChoice): Promise<FileEntry> {
  const found: FileEntry[] = []
  for await (const page of currentFiles(parts.pool, { series: await seriesOf(parts, whose), from: day, to: day })) found.push(...page)
  const wanted = found.filter(entry => version === undefined || entry.version === version)
  if (wanted.length === 0) {
    throw new ServiceError('not-found', 'NOT_FOUND', 'there is no Parquet file of this day: it has no readings, is not over, or was not quiet long enough (archive.parquetQuiet)')
  }
  if (wanted.length > 1) throw new ServiceError('incorrect', 'USAGE', severalText(wanted))
  return wanted[0]!
}

function severalText (entries: readonly FileEntry[]): string {
  const series = [...new Set(entries.map(entry => entry.series))]
  if (series.length > 1) return `the device was worn by several people on this day: choose one by --series ${series.join(' or ')}`
  return `readings of this day came after others were dropped, and stand in files of their own: choose one by --version ${entries.map(({ version }) => version).join(' or ')}`
}

async function keyOf ({ sidOf, keyOf: held }: ParquetViewParts, { series }: FileEntry) {
  const sid = await sidOf(series)
  const found = sid === undefined ? undefined : await held(sid)
  if (found === undefined) throw new ServiceError('not-found', 'KEY_DESTROYED', 'the key of this series was destroyed: its files cannot be opened any more')
  return found.key
}

async function seriesOf (parts: ParquetViewParts, whose: Whose): Promise<readonly number[]> {
  if ('series' in whose) return [whose.series]
  const found = await parts.seriesOf(whose.device)
  if (found === undefined) throw new ServiceError('not-found', 'NOT_FOUND', 'no device has this name in telemetry')
  return found
}
