/** The room of ingest on a real bus database, real keys and the embedded bus; who wears what is a list the test changes. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool } from 'pg'
import { type Ingest, type IngestOptions, openIngest } from '../../src/ingest/open-ingest.ts'
import { decodeRawFrame, type RawFrame } from '../../src/ingest/raw-frame.ts'
import { modelKey } from '../../src/model/device-model.ts'
import { identifierSystem } from '../../src/model/identifier.ts'
import type { Resolution } from '../../src/model/identity.ts'
import type { ReadingBatch, Sid } from '../../src/model/reading.ts'
import { decodeReadingBatch } from '../../src/model/reading-record.ts'
import { RAW, READINGS } from '../../src/model/streams.ts'
import { type EpochMs, epochMs } from '../../src/model/units.ts'
import type { Bus } from '../../src/platform/bus/bus.ts'
import { openEmbeddedBus } from '../../src/platform/bus/embedded/embedded-bus.ts'
import type { KeyRing } from '../../src/platform/keys/key-ring.ts'
import { createLocalKeyRing } from '../../src/platform/keys/local.ts'
import { loadBlindIndex } from '../../src/security/blind-index.ts'
import { createDataKeys, type DataKeys } from '../../src/security/data-keys.ts'
import { loadFingerprint } from '../../src/security/fingerprint.ts'
import { MODELS, READER } from './ingest-door.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'
import { TAKEN_AT } from './telemetry.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface Worn { deviceId: string, sid: Sid, from: number, until?: number, patientId?: string }

export interface IngestSystem {
  database: TestDatabase
  bus: Bus
  pool: Pool
  keyRing: KeyRing
  dataKeys: DataKeys
  /** Registered devices and who wears them; what the resolver answers. */
  registered: Set<string>
  worn: Worn[]
  /** False: the identity store does not answer. */
  isLinkageUp: boolean
  now: EpochMs
  raised: string[]
  open (options?: Partial<IngestOptions>): Promise<Ingest>
  /** Every batch of the readings topic, in the order of each sid. */
  batches (): Promise<ReadingBatch[]>
  rawCount (): Promise<number>
  /** Every record of the raw topic. */
  rawFrames (): Promise<RawFrame[]>
  close (): Promise<void>
}

/** @param openBus absent: the embedded bus of its database, with both topics of ours */
export async function ingestSystem (openBus: (url: string, now: () => EpochMs) => Promise<Bus> = embeddedBus): Promise<IngestSystem> {
  const [database, keys] = await Promise.all([testDatabase('bus'), testDatabase('keys')])
  const folder = temporaryFolder('ingest')
  const now = () => system.now
  const keyRing = await createLocalKeyRing({ file: join(folder, 'keys.json'), pool: keys.pool, now })
  const blindIndex = await loadBlindIndex(keyRing, 1)
  const fingerprint = await loadFingerprint(keyRing)
  const bus = await openBus(database.url, now)
  const opened: Ingest[] = []
  const system: IngestSystem = {
    database,
    bus,
    pool: database.poolOf('oxbow_ingest'),
    keyRing,
    dataKeys: createDataKeys({ keyRing, now }),
    registered: new Set(),
    worn: [],
    isLinkageUp: true,
    now: epochMs(TAKEN_AT + 10_000),
    raised: [],
    async open (options = {}) {
      const ingest = await openIngest({
        pool: system.pool, bus, dataKeys: system.dataKeys, now, models: MODELS, instance: 'test',
        deviceIndexOf: deviceId => ({ version: 1, index: blindIndex('device', identifierSystem('telemetry-device'), deviceId) }),
        resolve: async (deviceId, takenAt, patientId) => resolveIn(system, deviceId, takenAt, patientId),
        fingerprint,
        firmwareNumber: text => text === '' ? 0 : 3,
        events: {
          accepted: () => {}, quarantined: () => {}, repeated: () => {}, released: () => {}, discarded: () => {}, limited: () => {}, schema: () => {},
          raise: alarm => { system.raised.push(alarm) }, clear: () => {}
        },
        ...options
      })
      opened.push(ingest)
      return ingest
    },
    async batches () { return (await valuesOf(bus, READINGS)).map(decodeReadingBatch) },
    async rawFrames () { return (await valuesOf(bus, RAW)).map(decodeRawFrame) },
    async rawCount () { return (await valuesOf(bus, RAW)).length },
    async close () {
      for (const ingest of opened) await ingest.close()
      await bus.close()
      await Promise.all([database.drop(), keys.drop(), rm(folder, { recursive: true, force: true })])
    }
  }
  return system
}

function embeddedBus (url: string, now: () => EpochMs): Promise<Bus> {
  return openEmbeddedBus({ url, topics: [{ topic: READINGS, partitions: 4 }, { topic: RAW, partitions: 4 }], now })
}

function resolveIn ({ registered, worn, isLinkageUp }: IngestSystem, deviceId: string, takenAt: EpochMs, patientId: string | undefined): Resolution {
  const model = modelKey(READER)
  if (!isLinkageUp) return { reason: 'linkage-unavailable' }
  if (!registered.has(deviceId)) return { reason: 'device-unknown' }
  const period = worn.find(one => one.deviceId === deviceId && takenAt >= one.from && takenAt < (one.until ?? Number.POSITIVE_INFINITY))
  if (period === undefined) return { model, reason: 'not-associated' }
  return patientId !== undefined && patientId !== period.patientId ? { model, reason: 'patient-mismatch' } : { sid: period.sid, model }
}

async function valuesOf (bus: Bus, topic: string): Promise<Uint8Array[]> {
  const count = bus.backlog(topic)
  const consumer = await bus.consume({ topic, partitions: [0, 1, 2, 3], resumeFrom: async () => new Map() })
  const values: Uint8Array[] = []
  const stop = AbortSignal.timeout(count === 0 ? 200 : 2_000)
  while (!stop.aborted) {
    const batches = await consumer.take(10_000, stop)
    values.push(...batches.flatMap(({ records }) => records.map(({ value }) => value)))
    if (values.length >= count) break
    if (batches.length === 0) break
  }
  await consumer.close()
  return values
}
