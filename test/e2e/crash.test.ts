/** kill -9 of the server, of PostgreSQL and of its sessions at random moments under load, and on Kafka of the broker, which also stands still and loses its answers:
 *  what was acknowledged is there, once, and every window is right.
 *  The seed of a run is printed; OXBOW_TEST_SEED runs the same kills again. */

import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import { freePort } from '../../src/platform/postgres/postmaster.ts'
import type { Report } from '../../src/stores/archive/verify.ts'
import { ledgerGaps, seriesSums, storedSeries, unrest, wrongWindows } from '../support/brute-force.ts'
import { createFhirClient, eventually } from '../support/fhir-client.ts'
import { type OwnBroker, startBroker } from '../support/kafka.ts'
import { type LossyProxy, startLossyProxy } from '../support/lossy-proxy.ts'
import { endOxbow, makeDataDir, type Oxbow, postmasterPid, runServe, startOxbow, useBroker } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'
import { chanceOfRun } from '../support/random.ts'
import { type Senders, startSenders } from '../support/sender.ts'
import { wearingBundle } from '../support/ward-fixture.ts'

type Victim = 'server' | 'starting server' | 'postmaster' | 'session' | 'server and postmaster' | BrokerVictim
type BrokerVictim = 'broker' | 'standing broker' | 'answer of the broker'
const BROKER_ROUNDS: readonly BrokerVictim[] = [
  ...Array<BrokerVictim>(10).fill('broker'), ...Array<BrokerVictim>(3).fill('standing broker'), ...Array<BrokerVictim>(10).fill('answer of the broker')
]
const ROUNDS: readonly Victim[] = [
  ...Array<Victim>(7).fill('server'), ...Array<Victim>(2).fill('starting server'), ...Array<Victim>(5).fill('postmaster'), ...Array<Victim>(4).fill('session'),
  ...Array<Victim>(2).fill('server and postmaster'), ...(inject('kafkaPid') === undefined ? [] : BROKER_ROUNDS)
]
const DEVICES = Array.from({ length: 9 }, (_, place) => `worn-${place + 1}`)
const STRANGERS = ['stranger-1', 'stranger-2']
/** Between two kills; long enough for windows to close, and for a kill in the middle of a commit. */
const QUIET_MIN_MS = 150
const QUIET_MAX_MS = 1_500
const STOP_MAX_MS = 10_000
/** Two sessions of a group that misses the members of a server that was killed, the sweep of the quarantine once a minute, and what is then to be stored and amended, on a slow machine. */
const REST_MAX_MS = 240_000
/** Longer than a session of the stream's in its group. */
const STAND_MS = 12_000
/** Times before it are refused as implausible. */
const LONG_AGO_END = Date.UTC(2000, 0, 1)

const chance = chanceOfRun()
const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s', OXBOW_ARCHIVE_SLICE_TIME: '1s' }
let oxbow: Oxbow
let token: string
let senders: Senders
/** On Kafka: one that nobody else uses, and what stands before it. */
let kafka: { broker: OwnBroker, proxy: LossyProxy } | undefined

/** The server speaks with the broker through the proxy alone. */
async function startKafka (): Promise<void> {
  const behind = await freePort()
  const proxy = await startLossyProxy(() => behind)
  const broker = await startBroker({
    properties: (port, controller) => [
      `listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${behind},CONTROLLER://127.0.0.1:${controller}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${proxy.port}`,
      'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT'
    ]
  })
  kafka = { broker, proxy }
  useBroker(`127.0.0.1:${proxy.port}`)
}

beforeAll(async () => {
  if (inject('kafkaPid') !== undefined) await startKafka()
  process.stderr.write(`crash test: OXBOW_TEST_SEED=${chance.seed}\n`)
  oxbow = await startOxbow({ dataDir, env })
  token = await oxbow.token('__telemetry.write system/*.cruds')
  const wearings = DEVICES.map(deviceId => ({ deviceId, mrn: `MRN-${deviceId}`, start: '2020-01-01T00:00:00.000Z' }))
  expect((await createFhirClient(oxbow.address, token).send('POST', '/fhir', wearingBundle(wearings))).status).toBe(200)
  senders = startSenders({ address: () => oxbow.address, token, devices: DEVICES, strangers: STRANGERS, senderCount: 3, chance, from: Date.now() - 3 * 86_400_000 })
})
afterAll(async () => {
  await senders?.stop()
  await endOxbow(oxbow, dataDir)
  await kafka?.broker.stop()
  await kafka?.proxy.close()
})

async function restart (): Promise<void> { oxbow = await startOxbow({ dataDir, env }) }

/** Until requests are acknowledged again: the server helps itself, or has been started again. */
async function acknowledgesAgain (): Promise<void> {
  const before = senders.sums.received
  await eventually(async () => { expect(senders.sums.received).toBeGreaterThan(before) }, 40_000)
}

const KILL: Record<Victim, () => Promise<void>> = {
  server: async () => {
    await oxbow.kill('SIGKILL')
    await restart()
  },
  'starting server': async () => {
    await oxbow.kill('SIGKILL')
    const started = startOxbow({ dataDir, env, onSpawn: pid => { setTimeout(() => { killHard(pid) }, chance.whole(50, 1_800)) } })
    // It may have been ready a moment before.
    await started.then(ready => ready.exited, () => {})
    await restart()
  },
  postmaster: async () => { killHard(postmasterPid(dataDir)) },
  session: async () => {
    // After a kill of PostgreSQL the one before it may still be on its way back.
    const pids = await eventually(() => asOwner(dataDir, async view => (await view.pool('series').query<{ pid: number }>(
      `select pid from pg_stat_activity where datname in ('oxbow_series', 'oxbow_bus') and usename in ('oxbow_series', 'oxbow_bus', 'oxbow_ingest')`)).rows))
    if (pids.length > 0) killHard(pids[chance.whole(0, pids.length)]!.pid)
  },
  'server and postmaster': async () => {
    killHard(postmasterPid(dataDir))
    await oxbow.kill('SIGKILL')
    await restart()
  },
  broker: async () => {
    await kafka!.broker.kill()
    await kafka!.broker.restart()
  },
  'standing broker': async () => {
    kafka!.broker.freeze()
    await new Promise(resolve => { setTimeout(resolve, STAND_MS) })
    kafka!.broker.thaw()
  },
  'answer of the broker': async () => {
    const before = kafka!.proxy.lost()
    kafka!.proxy.lose(1, 1)
    await eventually(async () => { expect(kafka!.proxy.lost()).toBeGreaterThan(before) }, 20_000)
  }
}

function killHard (pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch { /* it is gone already */ }
}

/** How far the load has come is chance too: the pause is what makes the moment random. */
function quiet (): Promise<void> { return new Promise(resolve => { setTimeout(resolve, chance.whole(QUIET_MIN_MS, QUIET_MAX_MS)) }) }

test.each(chance.shuffled(ROUNDS).map((victim, place) => ({ round: place + 1, victim })))('round $round: the $victim is killed, and readings are acknowledged again', async ({ victim }) => {
  await quiet()
  await KILL[victim]()
  await acknowledgesAgain()
})

test('a second start on the same data directory is refused with a message that names it, and the first goes on', async () => {
  const second = await runServe({ dataDir, env })
  expect(second.code).toBe(1)
  expect(second.stdout).toBe('')
  expect(second.stderr).toContain(`${dataDir} is in use by another Oxbow`)
  await acknowledgesAgain()
})

test('SIGTERM under load ends it with 0 within 10 s', async () => {
  await quiet()
  const startedAt = performance.now()
  expect(await oxbow.stop()).toEqual({ code: 0, signal: null })
  expect(performance.now() - startedAt).toBeLessThan(STOP_MAX_MS)
  await restart()
  await acknowledgesAgain()
})

test('the senders were answered in order, with sums that add up', async () => {
  await senders.stop()
  expect(senders.oddities).toEqual([])
  expect(senders.sums.received).toBe(senders.sums.accepted + senders.sums.quarantined)
  expect(senders.acknowledged.size).toBeGreaterThan(1_000)
  process.stderr.write(`crash test: ${senders.sums.requests} requests, ${senders.sums.failures} without answer, ${senders.acknowledged.size} readings acknowledged\n`)
  await eventually(async () => { expect((await fetch(new URL('/health/ready', oxbow.address))).status).toBe(200) })
  await eventually(async () => { expect(await asOwner(dataDir, unrest)).toEqual([]) }, REST_MAX_MS)
})

test('every acknowledged reading stands in the series store exactly once, with its values, and nothing that was not sent', async () => {
  const stored = await storedReadings()
  const missing = [...senders.acknowledged, ...[...senders.quarantined].filter(isReleased)].filter(key => !stored.has(key))
  expect(missing).toEqual([])
  expect([...stored].filter(([key, values]) => textOf(values) !== textOf(senders.sent.get(key)))).toEqual([])
})

/** Values by identity. */
async function storedReadings (): Promise<Map<string, readonly (number | undefined)[]>> {
  const stored = new Map<string, readonly (number | undefined)[]>()
  for (const { deviceId, rows } of await asOwner(dataDir, storedSeries)) {
    for (const { takenAt, sequence, values } of rows) {
      const key = `${deviceId}/${takenAt}/${sequence}`
      expect(stored.has(key), key).toBe(false)
      stored.set(key, values)
    }
  }
  return stored
}

function textOf (values: readonly (number | undefined)[] | undefined): string { return `${values?.[0]} ${values?.[1]}` }

/** What waited only because the identity store did not answer. */
function isReleased (key: string): boolean {
  const [device, time] = key.split('/')
  return DEVICES.includes(device!) && Number(time) > LONG_AGO_END
}

test('every window says what its readings say, computed all at once', async () => {
  const models = await loadDeviceModels('mappings/models')
  await asOwner(dataDir, async view => {
    const all = await storedSeries(view)
    expect(all.length).toBe(DEVICES.length)
    for (const series of all) expect(await wrongWindows(view, series, models)).toEqual([])
    expect(await ledgerGaps(view)).toEqual([])
  })
})

test('law 4: what was accepted is stored or suppressed, and what was not is in quarantine', async () => {
  await asOwner(dataDir, async view => {
    const { accepted, stored, duplicate, conflict, rows } = await seriesSums(view)
    expect({ accepted, stored, conflict }).toEqual({ accepted: stored + duplicate, stored: rows, conflict: 0 })
    const { rows: [items] } = await view.pool('bus').query<{ seen: number, kept: number, open: number, released: number, keys: number }>(
      `select sum(times_seen)::bigint as seen, count(*) as kept, count(*) filter (where state in ('waiting', 'held')) as open, count(*) filter (where state = 'released') as released,
              count(distinct (device_index, event_time, sequence)) filter (where state in ('waiting', 'held')) as keys
         from quarantine.item where kind = 'record'`)
    const { rows: [counted] } = await view.pool('bus').query<{ records: number, repeated: number, released: number }>(
      'select sum(records)::bigint as records, sum(repeated)::bigint as repeated, sum(released)::bigint as released from ingest.quarantined')
    expect(counted).toEqual({ records: items!.seen, repeated: items!.seen - items!.kept, released: items!.released })
    expect(items!.kept).toBe(items!.open + items!.released)
    expect(items!.keys).toBeGreaterThanOrEqual([...senders.quarantined].filter(key => !isReleased(key)).length)
    // Requests whose answer was lost are counted here, and not by the senders.
    expect(items!.seen).toBeGreaterThanOrEqual(senders.sums.quarantined)
    expect(accepted).toBeGreaterThanOrEqual(senders.sums.accepted + items!.released)
  })
})

test('the archive holds all of it: every request is complete there and in quarantine, or was never acknowledged', async () => {
  const verify = async () => JSON.parse((await oxbow.verb('archive', 'verify', '--json')).stdout) as Report
  await eventually(async () => { expect((await verify()).underway.records).toBe(0) }, 60_000)
  const report = await verify()
  expect(report.findings).toEqual([])
  expect(report.requests).toMatchObject({ waiting: 0, unplaced: 0 })
  expect(report.readings.opened).toBeGreaterThanOrEqual(senders.sums.accepted)
})
