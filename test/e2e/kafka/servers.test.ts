/** A second server joins and leaves under load, in order and by kill -9, strangers write on the topic of the readings, the network, the broker or a server stands still for half a minute:
 *  what was acknowledged is there, once, in order, every window is right, and what is none of ours is in quarantine.
 *  The seed of a run is printed; OXBOW_TEST_SEED runs the same load again. */

import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { encodeReadingBatch } from '../../../src/model/reading-record.ts'
import type { ModelKey } from '../../../src/model/reading.ts'
import { READINGS } from '../../../src/model/streams.ts'
import { epochMs } from '../../../src/model/units.ts'
import { drawSid } from '../../../src/security/sid.ts'
import { unrest } from '../../support/brute-force.ts'
import { expectBalance, expectOrder, expectStoredOnce, expectWindows, finishedRun, type Run } from '../../support/conservation.ts'
import { createFhirClient, eventually } from '../../support/fhir-client.ts'
import { busEnvironment, endOxbow, makeDataDir, type Oxbow, startOxbow, useBroker } from '../../support/oxbow-process.ts'
import { asOwner } from '../../support/owner-view.ts'
import { type ProxiedBroker, startProxiedBroker } from '../../support/proxied-broker.ts'
import { chanceOfRun } from '../../support/random.ts'
import { type Senders, startSenders } from '../../support/sender.ts'
import { storedReading } from '../../support/stored-reading.ts'
import { wearingBundle } from '../../support/ward-fixture.ts'

const ROUNDS = 10
const PARTITIONS = 8
const DEVICES = Array.from({ length: 24 }, (_, place) => `worn-${place + 1}`)
const QUIET_MIN_MS = 150
const QUIET_MAX_MS = 1_500
/** As long as the server waits for the bus before it answers 503, and three sessions of the group. */
const PAUSE_MS = 30_000
/** What stands still, once each. A server that was paused (SIGSTOP, as a virtual machine is) awakes and believes that it still has what others have gone on with. */
const PAUSES = [...Array<'network'>(10).fill('network'), 'broker', 'server', 'server'] as const
/** A member of the group that did not say goodbye is missed after 10 s, and another may follow on it. */
const TAKES_PART_MS = 40_000

const chance = chanceOfRun()
const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s' }
let kafka: ProxiedBroker | undefined
let leader: Oxbow
let second: Oxbow | undefined
let senders: Senders
let foreign = 0
/** Of every server there was. */
const logs: (() => string)[] = []

async function start (roles: 'all' | 'stream'): Promise<Oxbow> {
  const server = await startOxbow({ dataDir, env: { ...env, OXBOW_ROLES: roles } })
  logs.push(server.stderr)
  return server
}

beforeAll(async () => {
  process.stderr.write(`servers test: OXBOW_TEST_SEED=${chance.seed}\n`)
  if (inject('kafkaPid') !== undefined) {
    kafka = await startProxiedBroker()
    useBroker(kafka.address)
  }
  leader = await start('all')
  const token = await leader.token('__telemetry.write system/*.cruds')
  const wearings = DEVICES.map(deviceId => ({ deviceId, mrn: `MRN-${deviceId}`, start: '2020-01-01T00:00:00.000Z' }))
  expect((await createFhirClient(leader.address, token).send('POST', '/fhir', wearingBundle(wearings))).status).toBe(200)
  senders = startSenders({
    address: () => leader.address, token, devices: DEVICES, strangers: ['stranger'], senderCount: 3, chance, from: Date.now() - 3 * 86_400_000, answerTimeoutMs: 2 * PAUSE_MS
  })
})
afterAll(async () => {
  await senders?.stop()
  await second?.stop()
  await endOxbow(leader, dataDir)
  await kafka?.stop()
})

let finished: Promise<Run> | undefined
const run = (): Promise<Run> => finished ??= finishedRun({ dataDir, senders, devices: DEVICES })

async function join (): Promise<Oxbow> {
  second = await start('stream')
  await storesMore(second, 0)
  return second
}

async function stored ({ address }: Oxbow): Promise<number> {
  const text = await (await fetch(new URL('/metrics', address))).text()
  return Number(/^oxbow_readings_stored_total (\d+)$/m.exec(text)?.[1])
}

/** It has partitions, and readings come on them. */
async function storesMore (server: Oxbow, before: number): Promise<void> {
  await eventually(async () => { expect(await stored(server)).toBeGreaterThan(before) }, TAKES_PART_MS)
}

function pausable ({ pid }: Oxbow): { freeze (): void, thaw (): void } {
  return { freeze: () => { process.kill(pid, 'SIGSTOP') }, thaw: () => { process.kill(pid, 'SIGCONT') } }
}

async function acknowledgesAgain (): Promise<void> {
  const before = senders.sums.received
  await eventually(async () => { expect(senders.sums.received).toBeGreaterThan(before) }, TAKES_PART_MS)
}

function quiet (): Promise<void> { return new Promise(resolve => { setTimeout(resolve, chance.whole(QUIET_MIN_MS, QUIET_MAX_MS)) }) }

/** Of every kind on every partition, by a producer that knows nothing of us. */
async function writeForeign (): Promise<void> {
  const client = new kafkajs.Kafka({ clientId: 'stranger', brokers: [kafka?.broker.address ?? inject('kafka')!], logLevel: kafkajs.logLevel.NOTHING })
  const producer = client.producer()
  await producer.connect()
  const ours = encodeReadingBatch({ sid: drawSid(), model: 'Example Sensors Inc./TO2-READER-2' as ModelKey, schemaId: 1, receivedAt: epochMs(Date.now()), readings: [storedReading(epochMs(0), [41, 97])] })
  const values = [
    null, Buffer.alloc(0), Buffer.from('{"deviceId":"device-42","spo2":97}'), Buffer.from(Array.from({ length: 200 }, () => chance.whole(0, 256))), ours.subarray(0, -1),
    Buffer.concat([ours, ours]), Buffer.from(ours).fill(0x31, 1, 30)
  ]
  const messages = Array.from({ length: PARTITIONS }, (_, partition) => values.map(value => ({ key: null, value, partition }))).flat()
  await producer.send({ topic: busEnvironment(dataDir)['OXBOW_KAFKA_TOPIC_PREFIX'] + READINGS, acks: -1, compression: kafkajs.CompressionTypes.GZIP, messages })
  await producer.disconnect()
  foreign += messages.length
}

const rounds = Array.from({ length: ROUNDS }, (_, place) => ({ round: place + 1, leaving: place % 2 === 0 ? 'SIGTERM' : 'SIGKILL' } as const))

test.each(rounds)('round $round: a second server joins, takes its share, strangers write between, and it leaves by $leaving', async ({ leaving }) => {
  const server = await join()
  await writeForeign()
  await quiet()
  if (leaving === 'SIGTERM') expect(await server.stop()).toEqual({ code: 0, signal: null })
  else await server.kill('SIGKILL')
  second = undefined
  await acknowledgesAgain()
})

test('a second one stays, and goes on when the one that leads is killed and started again', async () => {
  const server = await join()
  await leader.kill('SIGKILL')
  leader = await start('all')
  await acknowledgesAgain()
  await storesMore(server, await stored(server))
  await storesMore(leader, 0)
})

test.skipIf(inject('kafkaPid') === undefined).each(PAUSES.map((what, place) => ({ what, round: place + 1 })))('pause $round: the $what stands still for 30 s, and both servers go on', async ({ what }) => {
  const before = [await stored(leader), await stored(second!)] as const
  const standing = { broker: kafka!.broker, network: kafka!.proxy, server: pausable(second!) }[what]
  standing.freeze()
  await new Promise(resolve => { setTimeout(resolve, PAUSE_MS) })
  standing.thaw()
  await acknowledgesAgain()
  await Promise.all([storesMore(leader, before[0]), storesMore(second!, before[1])])
})

test('the senders were answered in order, with sums that add up, and everything comes to rest', async () => {
  await senders.stop()
  expect(senders.oddities).toEqual([])
  expect(senders.sums.received).toBe(senders.sums.accepted + senders.sums.quarantined)
  expect(senders.acknowledged.size).toBeGreaterThan(1_000)
  process.stderr.write(`servers test: ${senders.sums.requests} requests, ${senders.sums.failures} without answer, ${senders.acknowledged.size} readings acknowledged, ${foreign} records of strangers\n`)
  await eventually(async () => { expect(await asOwner(dataDir, unrest)).toEqual([]) }, 60_000)
  for (const { address } of [leader, second!]) expect((await fetch(new URL('/health/ready', address))).status).toBe(200)
})

test('every acknowledged reading is stored once, with its values, and nothing that was not sent', async () => { expectStoredOnce(await run()) })

test('readings of a device stand in the order in which they were acknowledged', async () => { expectOrder(await run()) })

test('every window says what its readings say, computed all at once', async () => { await expectWindows(await run()) })

test('in = stored + suppressed + quarantined, each record of a stranger kept once, and an operator was told', async () => {
  expect(foreign).toBeGreaterThan(0)
  await expectBalance(await run(), foreign)
  // What was answered 503 and came in all the same is noted until the door takes the counts of the store, within ten minutes.
  const { checks } = JSON.parse((await leader.verb('doctor', '--json')).stdout) as { checks: { name: string, verdict: string, message: string }[] }
  expect(checks.find(({ name }) => name === 'counters')).toMatchObject({ verdict: expect.not.stringMatching('wrong'), message: expect.stringMatching(/^received .* = stored/) })
  expect(logs.filter(log => log().includes('"event":"foreign-record"'))).not.toEqual([])
})
