/** kill -9 of the server, of PostgreSQL and of its sessions at random moments under load, and on Kafka of the broker, which also stands still and loses its answers:
 *  what was acknowledged is there, once, and every window is right.
 *  The seed of a run is printed; OXBOW_TEST_SEED runs the same kills again. */

import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Report } from '../../src/stores/archive/verify.ts'
import { unrest } from '../support/brute-force.ts'
import { expectBalance, expectOrder, expectStoredOnce, expectWindows, finishedRun, type Run } from '../support/conservation.ts'
import { createFhirClient, eventually } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, postmasterPid, runServe, startOxbow, useBroker } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'
import { type ProxiedBroker, startProxiedBroker } from '../support/proxied-broker.ts'
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

const chance = chanceOfRun()
const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s', OXBOW_ARCHIVE_SLICE_TIME: '1s' }
let oxbow: Oxbow
let token: string
let senders: Senders
/** On Kafka: one that nobody else uses, and what stands before it. */
let kafka: ProxiedBroker | undefined

let finished: Promise<Run> | undefined
const run = (): Promise<Run> => finished ??= finishedRun({ dataDir, senders, devices: DEVICES })

beforeAll(async () => {
  if (inject('kafkaPid') !== undefined) {
    kafka = await startProxiedBroker()
    useBroker(kafka.address)
  }
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
  await kafka?.stop()
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

test('every acknowledged reading stands in the series store exactly once, with its values, and nothing that was not sent', async () => { expectStoredOnce(await run()) })

test('readings of a device stand in the order in which they were acknowledged', async () => { expectOrder(await run()) })

test('every window says what its readings say, computed all at once', async () => { await expectWindows(await run()) })

test('law 4: what was accepted is stored or suppressed, and what was not is in quarantine', async () => { await expectBalance(await run()) })

test('the archive holds all of it: every request is complete there and in quarantine, or was never acknowledged', async () => {
  const verify = async () => JSON.parse((await oxbow.verb('archive', 'verify', '--json')).stdout) as Report
  await eventually(async () => { expect((await verify()).underway.records).toBe(0) }, 60_000)
  const report = await verify()
  expect(report.findings).toEqual([])
  expect(report.requests).toMatchObject({ unplaced: 0, unjudged: 0 })
  expect(report.readings.opened).toBeGreaterThanOrEqual(senders.sums.accepted)
})
