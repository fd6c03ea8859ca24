/** Two million readings wait on the bus while no server runs: one that is started then stores each once, in order, in bounded memory. */

import { execFileSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { loadDeviceModels } from '../../../src/config/device-models.ts'
import type { ModelKey, Sid } from '../../../src/model/reading.ts'
import { encodeReadingBatch } from '../../../src/model/reading-record.ts'
import { READINGS } from '../../../src/model/streams.ts'
import { epochMs, millivolt, percent } from '../../../src/model/units.ts'
import type { Bus, BusRecord } from '../../../src/platform/bus/bus.ts'
import { openBus } from '../../../src/platform/bus/open-bus.ts'
import { ledgerGaps, seriesSums, storedSeries, unrest, wrongWindows } from '../../support/brute-force.ts'
import { createFhirClient, eventually } from '../../support/fhir-client.ts'
import { busEnvironment, endOxbow, makeDataDir, type Oxbow, startOxbow } from '../../support/oxbow-process.ts'
import { asOwner } from '../../support/owner-view.ts'
import { wearingBundle } from '../../support/ward-fixture.ts'

const DEVICES = 1_000
const READINGS_PER_DEVICE = 2_000
const TOTAL = DEVICES * READINGS_PER_DEVICE
/** As gateways send that speak every ten seconds. */
const READINGS_PER_RECORD = 10
const RECORDS_PER_PUBLISH = 1_000
const DEVICES_PER_BUNDLE = 250
/** Windows of one series in so many are computed again. */
const SAMPLED = 50
/** All of the readings as objects are 400 MiB and more: with so little for objects a server that held them would end. What Node keeps only because nobody asks for it does not count then. */
const HEAP_MIB = 256
/** Beside objects: 150 MiB of a server at rest, and for each of two writers one take (8 MiB), one answer of the cluster, one commit; twice that for what is not yet given back. */
const RESIDENT_MIB = 640
const START = Math.floor(Date.now() / 60_000) * 60_000 - 86_400_000

const dataDir = makeDataDir()
/** A device is heard again before; after the last reading the last window closes so late. */
const env = { OXBOW_STREAM_SILENCE: '20s' }
const nameOf = (device: number): string => `waiting-${device}`
let oxbow: Oxbow | undefined
/** By number of the device. */
let sids: readonly Sid[]

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  const ehr = createFhirClient(oxbow.address, await oxbow.token('system/*.cruds'))
  for (let from = 0; from < DEVICES; from += DEVICES_PER_BUNDLE) {
    const wearings = Array.from({ length: DEVICES_PER_BUNDLE }, (_, place) => ({ deviceId: nameOf(from + place), mrn: `MRN-${from + place}`, start: '2020-01-01T00:00:00.000Z' }))
    expect((await ehr.send('POST', '/fhir', wearingBundle(wearings))).status).toBe(200)
  }
  sids = await asOwner(dataDir, async view => {
    const { rows } = await view.pool('linkage').query<{ sid: Sid, name: string }>(`select m.sid, i.value as name from linkage.sid_map m
      join fhir.identifier i on i.type = 'Device' and i.id = m.device and i.system like '%/identifier/telemetry-device'`)
    const byName = new Map(rows.map(({ sid, name }) => [name, sid]))
    return Array.from({ length: DEVICES }, (_, device) => byName.get(nameOf(device))!)
  })
  await oxbow.stop()
  oxbow = undefined
  const bus = await openBus(loadConfig({ ...busEnvironment(dataDir) }), { url: '', now: () => epochMs(Date.now()), onReachable: () => {}, log: () => {} })
  await fill(bus).finally(bus.close)
}, 300_000)
afterAll(async () => { await endOxbow(oxbow, dataDir) })

/** Its place in a second tells the device of a reading, and its second the values. */
function takenAt (device: number, n: number): number { return START + n * 1_000 + device }

/** Device after device, ten seconds after ten seconds. */
async function fill (bus: Bus): Promise<void> {
  let records: BusRecord[] = []
  for (let first = 0; first < READINGS_PER_DEVICE; first += READINGS_PER_RECORD) {
    for (const [device, sid] of sids.entries()) {
      records.push({ topic: READINGS, key: sid, value: recordOf(sid, device, first) })
      if (records.length < RECORDS_PER_PUBLISH) continue
      await bus.publish(records)
      records = []
    }
  }
  expect(records).toEqual([])
}

function recordOf (sid: Sid, device: number, first: number): Buffer {
  const readings = Array.from({ length: READINGS_PER_RECORD }, (_, index) => {
    const time = takenAt(device, first + index)
    const second = Math.floor(time / 1_000)
    return { takenAt: epochMs(time), sequence: 0, values: [30 + second % 64 / 4, 90 + second % 7], battery: millivolt(3_700), quality: percent(90), firmware: 0, flags: 0 }
  })
  return encodeReadingBatch({ sid, model: 'Example Sensors Inc./TO2-READER-2' as ModelKey, schemaId: 1, receivedAt: epochMs(Date.now()), readings })
}

function residentMib (pid: number): number { return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) / 1_024 }

test('a server stores all of it, and its memory does not grow with what waits', async () => {
  oxbow = await startOxbow({ dataDir, env: { ...env, NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` } })
  const startedAt = performance.now()
  const looks: number[] = []
  await asOwner(dataDir, async view => {
    let stored = 0
    while (stored < TOTAL) {
      looks.push(residentMib(oxbow!.pid))
      expect(oxbow!.isRunning(), `it ended: ${oxbow!.stderr()}`).toBe(true)
      await delay(250)
      stored = (await view.pool('series').query<{ stored: number }>('select coalesce(sum(stored), 0)::bigint as stored from series.counts')).rows[0]!.stored
    }
    expect(stored).toBe(TOTAL)
  })
  const seconds = (performance.now() - startedAt) / 1_000
  process.stderr.write(`backlog test: ${TOTAL} readings in ${seconds.toFixed(0)} s, ${Math.round(TOTAL / seconds)} a second, at most ${Math.round(Math.max(...looks))} MiB, ${Math.round(looks[0]!)} MiB at the start\n`)
  expect(looks.length).toBeGreaterThan(10)
  expect(Math.max(...looks)).toBeLessThan(RESIDENT_MIB)
})

test('in = stored: no reading more, none less, none twice', async () => {
  await eventually(async () => { expect(await asOwner(dataDir, unrest)).toEqual([]) }, 60_000)
  expect(await asOwner(dataDir, seriesSums)).toEqual({ accepted: TOTAL, stored: TOTAL, duplicate: 0, conflict: 0, rows: TOTAL })
})

test('each device has its own readings, with their values, in the order in which they were sent', async () => {
  const rows = await asOwner(dataDir, async view => (await view.pool('series').query<{ sid: Sid, count: number, wrong: number, device: number }>(`
    select s.sid, count(*)::int as count, min(r.ms)::int as device,
           count(*) filter (where r.ms <> r.first_ms or r.partition <> r.first_partition or r.src_offset < r.offset_before
                               or r.v0 <> 30 + r.second % 64 / 4.0 or r.v1 <> 90 + r.second % 7)::int as wrong
      from (select series, v0, v1, partition, src_offset, at % 1000 as ms, at / 1000 as second, first_value(at % 1000) over w as first_ms,
                   first_value(partition) over w as first_partition, coalesce(lag(src_offset) over w, 0) as offset_before
              from (select *, (extract(epoch from taken_at) * 1000)::bigint as at from series.reading) as timed
            window w as (partition by series order by taken_at)) as r
      join series.sid s on s.number = r.series group by s.sid`)).rows)
  const byDevice = new Map(rows.map(({ device, ...row }) => [device, row]))
  expect([...sids.keys()].map(device => ({ ...byDevice.get((START + device) % 1_000), device }))).toEqual(sids.map((sid, device) => ({ sid, count: READINGS_PER_DEVICE, wrong: 0, device })))
})

test('every window of one series in fifty says what its readings say, and the ledger has no gap', async () => {
  const models = await loadDeviceModels('mappings/models')
  await asOwner(dataDir, async view => {
    const sampled = await storedSeries(view, SAMPLED)
    expect(sampled).toHaveLength(DEVICES / SAMPLED)
    for (const series of sampled) expect(await wrongWindows(view, series, models)).toEqual([])
    expect(await ledgerGaps(view)).toEqual([])
  })
})
