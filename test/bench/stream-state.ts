/** What the stream holds of a device in memory: the product's pipeline over a real series store in a process of its own, run with `--expose-gc`. */

import { fileURLToPath } from 'node:url'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import type { ReadingBatch } from '../../src/model/reading.ts'
import { encodeReadingBatch } from '../../src/model/reading-record.ts'
import { READINGS } from '../../src/model/streams.ts'
import { type EpochMs, epochMs, millivolt, percent } from '../../src/model/units.ts'
import { createPool } from '../../src/platform/postgres/pool.ts'
import { drawSid } from '../../src/security/sid.ts'
import { createSeriesStore } from '../../src/stores/series/series-store.ts'
import { createPipeline } from '../../src/stream/pipeline.ts'

const [url = '', count = '0'] = process.argv.slice(2)
const MODEL = 'Example Sensors Inc./TO2-READER-2'
const PER_STEP = 500
/** Far enough that the second reading closes the windows of the first. */
const APART_MS = 600_000

const pool = createPool({ url })
const store = createSeriesStore(pool)
const models = await loadDeviceModels(fileURLToPath(new URL('../../mappings/models', import.meta.url)))
await store.recordModels(models.values())
const now = epochMs(Date.now())
const pipeline = createPipeline({
  writer: 0, owner: undefined, partitions: [0], topic: READINGS, sink: store, models,
  contexts: async sids => new Map(sids.map(sid => [sid, { sid, model: MODEL, validFrom: epochMs(0), validUntil: epochMs(Number.MAX_SAFE_INTEGER), calibrations: [] }])),
  settings: {
    windowMs: 60_000, windowSizes: {}, latenessMs: 30_000, silenceMs: 60_000, deficits: {}, pipelineVersion: 'bench', dagDigest: `sha256:${'0'.repeat(64)}`,
    amendmentsMax: 200, mappingVersion: metric => `${metric}@1`
  }
})
let offset = 0

async function feed (sids: readonly ReadingBatch['sid'][], takenAt: EpochMs): Promise<void> {
  for (let from = 0; from < sids.length; from += PER_STEP) {
    const records = sids.slice(from, from + PER_STEP).map(sid => ({
      offset: offset++,
      value: encodeReadingBatch({
        sid, model: MODEL, schemaId: 1, receivedAt: now,
        readings: [{ takenAt, sequence: 0, values: [40.1, 97.2], battery: millivolt(3_700), quality: percent(92), firmware: 1, flags: 0 }]
      })
    }))
    const step = await pipeline.step([{ partition: 0, firstOffset: offset - records.length, nextOffset: offset, records }], now)
    if (step !== undefined) await store.commit(step.commit)
  }
}

function heldBytes (): number {
  const { gc } = globalThis as unknown as { gc: () => void }
  for (let turn = 0; turn < 3; turn++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const draw = (many: number) => Array.from({ length: many }, () => drawSid())
const warm = draw(PER_STEP)
for (const takenAt of [now - 2 * APART_MS, now - APART_MS]) await feed(warm, epochMs(takenAt))
const sids = draw(Number(count))
const before = heldBytes()
for (const takenAt of [now - 2 * APART_MS, now - APART_MS]) await feed(sids, epochMs(takenAt))
const after = heldBytes()
if (pipeline.openCount() !== sids.length + warm.length) throw new Error(`${pipeline.openCount()} series are open, not ${sids.length + warm.length}`)
await pool.end()
process.send!((after - before) / sids.length, () => process.disconnect())
