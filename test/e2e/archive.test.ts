/** kill -9 of the server at random moments under load: everything that was acknowledged stands in the archive, each record once, and is proved by the verb;
 *  one changed byte is found. The seed of a run is printed; OXBOW_TEST_SEED runs the same kills again. */

import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { build } from '../../src/config/product.ts'
import type { Manifest } from '../../src/stores/archive/manifest.ts'
import type { Report } from '../../src/stores/archive/verify.ts'
import { createFhirClient, eventually } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, postmasterPid, startOxbow } from '../support/oxbow-process.ts'
import { chanceOfRun } from '../support/random.ts'
import { type Senders, startSenders } from '../support/sender.ts'
import { wearingBundle } from '../support/ward-fixture.ts'

const ROUNDS = 8
const DEVICES = Array.from({ length: 6 }, (_, place) => `worn-${place + 1}`)
/** Between two kills; a slice is closed once a second. */
const QUIET_MIN_MS = 300
const QUIET_MAX_MS = 2_500

const chance = chanceOfRun()
const dataDir = makeDataDir()
const env = { OXBOW_ARCHIVE_SLICE_TIME: '1s', OXBOW_ARCHIVE_SLICE_BYTES: '20000' }
let oxbow: Oxbow
let senders: Senders

beforeAll(async () => {
  process.stderr.write(`archive test: OXBOW_TEST_SEED=${chance.seed}\n`)
  oxbow = await startOxbow({ dataDir, env })
  const token = await oxbow.token('__telemetry.write system/*.cruds')
  const wearings = DEVICES.map(deviceId => ({ deviceId, mrn: `MRN-${deviceId}`, start: '2020-01-01T00:00:00.000Z' }))
  expect((await createFhirClient(oxbow.address, token).send('POST', '/fhir', wearingBundle(wearings))).status).toBe(200)
  senders = startSenders({ address: () => oxbow.address, token, devices: DEVICES, strangers: ['stranger-1'], senderCount: 3, chance, from: Date.now() - 86_400_000 })
})
afterAll(async () => {
  await senders?.stop()
  await endOxbow(oxbow, dataDir)
})

async function verify (): Promise<{ code: number, report: Report }> {
  const { code, stdout, stderr } = await oxbow.verb('archive', 'verify', '--json')
  expect(stderr).toBe('')
  return { code, report: JSON.parse(stdout) as Report }
}

test.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))('round %i: the server is killed, and readings are acknowledged again', async round => {
  await new Promise(resolve => { setTimeout(resolve, chance.whole(QUIET_MIN_MS, QUIET_MAX_MS)) })
  if (round % 4 === 0) process.kill(postmasterPid(dataDir), 'SIGKILL')
  await oxbow.kill('SIGKILL')
  oxbow = await startOxbow({ dataDir, env })
  const before = senders.sums.received
  await eventually(async () => { expect(senders.sums.received).toBeGreaterThan(before) }, 40_000)
})

test('beside a server under load nothing is found', async () => {
  const { code, report } = await verify()
  expect([report.findings, code]).toEqual([[], 0])
})

test('once all is archived every request is complete, or was never acknowledged', async () => {
  await senders.stop()
  await eventually(async () => { expect((await verify()).report.underway.records).toBe(0) }, 60_000)
  const { code, report } = await verify()
  expect([report.findings, code]).toEqual([[], 0])
  expect(report.requests).toMatchObject({ unplaced: 0, unjudged: 0 })
  expect(report.readings.opened).toBeGreaterThanOrEqual(senders.sums.accepted)
  // What was sent once more because its answer was lost is quarantined once, and stands in the book as repeated.
  const { waiting, held, repeated } = report.quarantine!
  expect(waiting + held + repeated).toBeGreaterThanOrEqual(senders.sums.quarantined)
  // Requests without an answer may have been stored or not; those with one are complete.
  expect(report.requests!.unanswered).toBeLessThanOrEqual(senders.sums.failures)
  expect(report.objects).toBeGreaterThan(ROUNDS)
  process.stderr.write(`archive test: ${report.objects} objects, ${report.readings.opened} readings, ${JSON.stringify(report.requests)}, ${senders.sums.failures} requests without answer\n`)
})

test('a stopped server leaves nothing under way, and the verb works without it', async () => {
  expect(await oxbow.stop()).toEqual({ code: 0, signal: null })
  const { code, report } = await verify()
  expect(report).toMatchObject({ ok: true, underway: { objects: 0, records: 0 } })
  expect(code).toBe(0)
  oxbow = await startOxbow({ dataDir, env })
})

test('the manifest lists what stands in the folder below raw/, and nothing else stands there', async () => {
  const listed = (await oxbow.verb('archive', 'list', '--json')).stdout.trim().split('\n').map(line => JSON.parse(line) as Manifest)
  const folder = join(dataDir, 'archive')
  // Drafts of the servers that were killed are no objects; Parquet files have a catalogue of their own.
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.startsWith('raw/') && statSync(join(folder, name)).isFile())
  expect(files.sort()).toEqual(listed.map(({ object }) => object).sort())
})

test('every object names the version and the commit of the server that made it', async () => {
  const { stdout } = await oxbow.verb('archive', 'list', '--json')
  expect([...new Set(stdout.trim().split('\n').map(line => (JSON.parse(line) as Manifest).oxbow))]).toEqual([build()])
})

test('one changed byte is found with its object, and the way back is to put the byte back', async () => {
  const listed = (await oxbow.verb('archive', 'list', '--json')).stdout.trim().split('\n').map(line => JSON.parse(line) as Manifest)
  const { object, bytes: size } = listed[chance.whole(0, listed.length)]!
  const path = join(dataDir, 'archive', object)
  const bytes = readFileSync(path)
  const flip = (): void => {
    bytes[size >> 1]! ^= 1
    writeFileSync(path, bytes)
  }
  chmodSync(path, 0o600)
  flip()
  const { code, stdout } = await oxbow.verb('archive', 'verify')
  expect([code, stdout]).toEqual([1, expect.stringContaining(`object-changed    ${object}: its ${size} bytes are not those that were written`)])
  flip()
  expect((await oxbow.verb('archive', 'verify')).code).toBe(0)
})
