/** A folder -> the databases, keys and objects of a deployment, the door that fills its raw topic and the archive that empties it, in this process; no server. */

import { setTimeout as delay } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import { loadConfig } from '../../src/config/load.ts'
import { MODELS_FOLDER } from '../../src/config/product.ts'
import { type Ingest, openIngest } from '../../src/ingest/open-ingest.ts'
import type { ModelKey, Sid } from '../../src/model/reading.ts'
import { RAW, STREAMS } from '../../src/model/streams.ts'
import { epochMs } from '../../src/model/units.ts'
import { createEvents } from '../../src/observability/events.ts'
import { createLogger } from '../../src/observability/logger.ts'
import type { Bus } from '../../src/platform/bus/bus.ts'
import { openEmbeddedBus } from '../../src/platform/bus/embedded/embedded-bus.ts'
import { readBegins, readEnds } from '../../src/platform/bus/embedded/tables.ts'
import { openKeyRing } from '../../src/platform/keys/open-key-ring.ts'
import { openObjects } from '../../src/platform/objects/open-objects.ts'
import { openStores } from '../../src/platform/postgres/open-stores.ts'
import { createDataKeys } from '../../src/security/data-keys.ts'
import { loadFingerprint } from '../../src/security/fingerprint.ts'
import { drawSid } from '../../src/security/sid.ts'
import { archiveView } from '../../src/stores/archive/archive-view.ts'
import { loadDirectoryKey } from '../../src/stores/archive/directory-key.ts'
import { openArchive } from '../../src/stores/archive/open-archive.ts'
import { WrongResult } from './counts.ts'
import { treeCpuUs } from './processes.ts'
import { postmasterPid } from './server.ts'

/** Few, so that slices are filled by their bytes as those of a big ward are. */
const PARTITIONS = 2
const POSTS_AT_ONCE = 32
const POLL_MS = 5
const ARCHIVED_TIMEOUT_MS = 300_000
const MODEL = 'Example Sensors Inc./TO2-READER-2' as ModelKey

export interface Archived { seconds: number, cpuUs: { writer: number, postgres: number } }

export interface ArchiveSite {
  /** Through the door, as many at once as gateways post. @param bodies JSON */
  fill (bodies: readonly Buffer[]): Promise<void>
  /** From a bus just opened until nothing of the topic waits any more: all of it stands in objects. */
  archive (): Promise<Archived>
  /** Of all objects. @throws WrongResult when the archive does not verify */
  stored (): Promise<{ readings: number, bytes: number, objects: number }>
  close (): Promise<void>
}

export async function openArchiveSite (dataDir: string): Promise<ArchiveSite> {
  const config = loadConfig({ OXBOW_DATA_DIR: dataDir })
  const stores = await openStores(config)
  const now = () => epochMs(Date.now())
  const keyRing = await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now })
  const dataKeys = createDataKeys({ keyRing, now })
  const keys = { directory: await loadDirectoryKey(keyRing), ofSids: dataKeys.heldForSids, knownSids: async (asked: readonly Sid[]) => new Set(asked) }
  const [fingerprint, models, objects] = [await loadFingerprint(keyRing), await loadDeviceModels(MODELS_FOLDER), await openObjects(config, now)]
  const events = createEvents(new Registry(), createLogger('error', () => {}), now)
  const sids = new Map<string, Sid>()
  const appended = async () => [...await readEnds(stores.pool('oxbow_bus'), RAW)].reduce((sum, [, end]) => sum + end, 0)
  let archived = 0
  const openBus = () => openEmbeddedBus({
    url: stores.url('oxbow_bus'), now, topics: STREAMS.map(({ topic }) => ({ topic, partitions: PARTITIONS, retainMs: 0, backlogMax: config['archive.backlogMax'] }))
  })
  const openDoor = (bus: Bus): Promise<Ingest> => openIngest({
    pool: stores.pool('oxbow_ingest'), bus, dataKeys, fingerprint, models, events, now, firmwareNumber: () => 1,
    deviceIndexOf: () => ({ version: 1, index: Buffer.alloc(32) }), resolve: deviceId => ({ sid: sidOf(sids, deviceId), model: MODEL })
  })
  return {
    fill: bodies => withBus(openBus, async bus => {
      const ingest = await openDoor(bus)
      await post(ingest, bodies).finally(ingest.close)
    }),
    archive: () => withBus(openBus, async bus => {
      const cpu = async () => ({ own: process.cpuUsage(), postgres: treeCpuUs(await postmasterPid(dataDir)) })
      const total = await appended()
      const [before, startedAt] = [await cpu(), performance.now()]
      // Once the last record is taken a slice's time passes at every look: what is open is written at once, as if it had waited its time.
      let [aheadMs, stepMs] = [0, 0]
      const clock = () => {
        aheadMs += stepMs
        return epochMs(Date.now() + aheadMs)
      }
      const writer = openArchive({
        bus: { partitionCount: bus.partitionCount, consume: lastTaken(bus, total - archived, () => { stepMs = config['archive.sliceTime'] }) },
        pool: stores.pool('oxbow_archive'), objects, events, keys, now: clock,
        setAside: async () => { throw new WrongResult('a record of the door was taken for a foreign one') },
        sliceMs: config['archive.sliceTime'], sliceBytes: config['archive.sliceBytes']
      })
      await untilEmpty(bus).finally(writer.stop)
      const [took, after] = [performance.now() - startedAt, await cpu()]
      archived = total
      const { user, system } = after.own
      return { seconds: took / 1_000, cpuUs: { writer: user + system - before.own.user - before.own.system, postgres: after.postgres - before.postgres } }
    }),
    async stored () {
      const view = archiveView({
        pool: stores.pool('oxbow_archive'), objects, keyRing, now, pause: delay, sliceMs: config['archive.sliceTime'], ends: () => readEnds(stores.pool('oxbow_bus'), RAW), begins: () => readBegins(stores.pool('oxbow_bus'), RAW)
      })
      const { ok, counts, readings, bytes, objects: count } = await view.verify({})
      if (!ok) throw new WrongResult(`the archive does not verify: ${JSON.stringify(counts)}`)
      return { readings: readings.opened, bytes, objects: count }
    },
    close: stores.close
  }
}

async function withBus<T> (open: () => Promise<Bus>, work: (bus: Bus) => Promise<T>): Promise<T> {
  const bus = await open()
  return work(bus).finally(bus.close)
}

function sidOf (sids: Map<string, Sid>, deviceId: string): Sid {
  const sid = sids.get(deviceId) ?? drawSid()
  sids.set(deviceId, sid)
  return sid
}

async function post ({ accept }: Ingest, bodies: readonly Buffer[]): Promise<void> {
  const left = bodies.values()
  const postNext = async () => {
    for (const bytes of left) {
      const { status, body: { received, accepted } } = await accept({ bytes, contentType: 'application/json', contentEncoding: '' })
      if (status !== 200 || accepted !== received) throw new WrongResult(`the door took ${accepted} of ${received} readings`)
    }
  }
  await Promise.all(Array.from({ length: POSTS_AT_ONCE }, postNext))
}

/** Consumers who say when they have taken so many records. */
function lastTaken (bus: Bus, total: number, onLast: () => void): Bus['consume'] {
  return async options => {
    const consumer = await bus.consume(options)
    let taken = 0
    return {
      ...consumer,
      partitions: consumer.partitions,
      async take (recordsMax, signal) {
        const batches = await consumer.take(recordsMax, signal)
        taken += batches.reduce((sum, { records }) => sum + records.length, 0)
        if (taken === total) onLast()
        return batches
      }
    }
  }
}

async function untilEmpty (bus: Bus): Promise<void> {
  const deadline = performance.now() + ARCHIVED_TIMEOUT_MS
  while (bus.backlog(RAW) > 0) {
    if (performance.now() > deadline) throw new WrongResult('what came in is still not archived')
    await delay(POLL_MS)
  }
}
