/** The door, the bus and the archive behind it, on a real database, real keys and a folder. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import type { Ingest } from '../../src/ingest/open-ingest.ts'
import { createSetAside } from '../../src/ingest/quarantine/set-aside.ts'
import type { Sid } from '../../src/model/reading.ts'
import { RAW } from '../../src/model/streams.ts'
import type { Bus } from '../../src/platform/bus/bus.ts'
import { readBegins, readEnds } from '../../src/platform/bus/embedded/tables.ts'
import { openDiskStore } from '../../src/platform/objects/disk.ts'
import type { ObjectStore } from '../../src/platform/objects/object-store.ts'
import { drawSid } from '../../src/security/sid.ts'
import { loadDirectoryKey } from '../../src/stores/archive/directory-key.ts'
import { commitObject, openHeads, reserve } from '../../src/stores/archive/manifest-rows.ts'
import { type Report, verifyArchive, type VerifyParts, type VerifySpan } from '../../src/stores/archive/verify.ts'
import { type ArchiveWriter, type ArchiveWriterParts, startArchiveWriter } from '../../src/stores/archive/writer.ts'
import { type IngestSystem, ingestSystem } from './ingest-system.ts'
import { json, sentV2, TAKEN_AT } from './telemetry.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface ArchiveSystem extends IngestSystem {
  ingest: Ingest
  folder: string
  objects: ObjectStore
  /** What the writer has reported, in order: `archived N`, `failed CODE`, `recovered`. */
  reports: string[]
  /** A writer that closes a slice at every turn, unless told otherwise; stopped by `close`. */
  start (change?: Partial<ArchiveWriterParts>): Promise<ArchiveWriter>
  /** Resolves when nothing of the topic waits for the archive. */
  archived (): Promise<void>
  verify (span?: VerifySpan, change?: Partial<VerifyParts>): Promise<Report>
  /** A device of its own that is worn: its name and sid. */
  wornDevice (): { deviceId: string, sid: Sid }
  /** Posts readings of these devices, in turn, as one request. */
  post (deviceIds: readonly string[], count: number): Promise<void>
}

let deviceCount = 0
let second = 0

/** @param openBus of `ingestSystem` · @param ends of the topic; absent: of the embedded bus */
export async function archiveSystem (openBus?: Parameters<typeof ingestSystem>[0], ends?: (bus: Bus) => Promise<ReadonlyMap<number, number>>): Promise<ArchiveSystem> {
  const system = await ingestSystem(openBus)
  const folder = temporaryFolder('archive')
  const objects = await openDiskStore({ folder: join(folder, 'archive'), now: () => system.now })
  const pool = system.database.poolOf('oxbow_archive')
  const reports: string[] = []
  const writers: ArchiveWriter[] = []
  const ingest = await system.open({ releaseRetryMs: 20 })
  await ingest.releaser.start()
  const closeRest = system.close
  const archive = Object.assign(system, {
    ingest, folder, objects, reports,
    start: async (change: Partial<ArchiveWriterParts> = {}) => {
      const writer = startArchiveWriter({
        bus: system.bus, objects, oxbow: 'test', now: () => system.now,
        keys: { directory: await loadDirectoryKey(system.keyRing), ofSids: system.dataKeys.heldForSids, knownSids: async () => new Set(system.worn.map(({ sid }) => sid)) },
        rows: {
          openHeads: partitions => openHeads(pool, partitions),
          reserve: (head, range) => reserve(pool, head, range),
          commitObject: (head, manifest) => commitObject(pool, head, manifest)
        },
        sliceBytes: 1_000_000, sliceMs: 0, bytesMax: 4_000_000, recordsMax: 1_000, tickMs: 20, paceMs: 1, retryMs: 5, retryMaxMs: 20, stopMs: 10_000,
        setAside: createSetAside(ingest.quarantine, () => system.now, RAW),
        report: {
          foreign: count => { reports.push(`foreign ${count}`) },
          archived: ({ readings }) => { reports.push(`archived ${readings}`) },
          failed: error => { reports.push(`failed ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`) },
          recovered: () => { reports.push('recovered') }
        },
        ...change
      })
      writers.push(writer)
      return writer
    },
    archived: () => vi.waitFor(() => { expect(system.bus.backlog(RAW)).toBe(0) }, { timeout: 30_000, interval: 10 }),
    verify: (span?: VerifySpan, change: Partial<VerifyParts> = {}) => verifyArchive({
      pool, objects, keyRing: system.keyRing, ends: () => ends === undefined ? readEnds(system.database.pool, RAW) : ends(system.bus),
      begins: () => ends === undefined ? readBegins(system.database.pool, RAW) : Promise.resolve(new Map()),
      now: () => system.now, pause: () => Promise.resolve(), sliceMs: 0, ...change
    }, span),
    wornDevice: () => {
      const deviceId = `device-${++deviceCount}`
      const sid = drawSid()
      system.registered.add(deviceId)
      system.worn.push({ deviceId, sid, from: 0 })
      return { deviceId, sid }
    },
    post: async (deviceIds: readonly string[], count: number) => {
      const records = Array.from({ length: count }, (_, place) => sentV2({ deviceId: deviceIds[place % deviceIds.length]!, timestamp_utc: TAKEN_AT + ++second, sequence: null }))
      await ingest.accept({ bytes: json(records), contentType: 'application/json', contentEncoding: '' })
    },
    close: async () => {
      for (const writer of writers) await writer.stop()
      await closeRest()
      await rm(folder, { recursive: true, force: true })
    }
  })
  return archive
}
