/** Limits of gateways and devices: a backlog comes through its 429s whole and once, and a wild device holds back nobody else. */

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bedside, createBedside, iso, samples } from '../support/bedside.ts'
import { seriesSums } from '../support/brute-force.ts'
import { createFhirClient, eventually, type FhirClient } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'

const dataDir = makeDataDir()
const M = Math.floor((Date.now() - 6 * 3_600_000) / 60_000) * 60_000
const env = {
  OXBOW_INGEST_RECORDS_MAX: '200',
  OXBOW_INGEST_RATE_PER_GATEWAY: '{"perSecond": 50, "burst": 1000}',
  OXBOW_INGEST_RATE_PER_DEVICE: '{"perSecond": 10, "burst": 200}'
}
let oxbow: Oxbow
let ward: Bedside

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  ward = createBedside(oxbow, await oxbow.token('system/*.cruds'))
})
afterAll(async () => {
  await endOxbow(oxbow, dataDir)
})

async function gateway (subject: string): Promise<FhirClient> {
  return createFhirClient(oxbow.address, await oxbow.token('__telemetry.write', '--subject', subject))
}

const bodyOf = (records: readonly object[]) => records.map(record => `${JSON.stringify(record)}\n`).join('')

/** As a simple gateway does: the same again after `Retry-After`, until it is answered 200. Gives how often it was told to wait. */
async function sendPatiently (from: FhirClient, records: readonly object[]): Promise<number> {
  for (let waits = 0; ; waits++) {
    const { status, headers, body } = await from.telemetry(bodyOf(records), 'application/x-ndjson')
    if (status === 200) {
      expect(body).toMatchObject({ received: records.length, accepted: records.length })
      return waits
    }
    expect([status, headers.get('Retry-After')]).toEqual([429, expect.stringMatching(/^[1-9]\d*$/)])
    await delay(Number(headers.get('Retry-After')) * 1_000)
  }
}

interface Sums { accepted: number, stored: number, duplicate: number, rows: number }
const sums = (): Promise<Sums> => asOwner(dataDir, seriesSums)

test('a backlog that is larger than its limit comes in through 429s, whole and once', async () => {
  const devices = Array.from({ length: 20 }, (_, i) => `pent-up-${i}`)
  for (const deviceId of devices) await ward.admit({ deviceId, mrn: `mrn-${deviceId}`, start: iso(M - 86_400_000) })
  const all = devices.flatMap(deviceId => samples({ deviceId, from: M, count: 70 }))
  const bodies = Array.from({ length: 7 }, (_, i) => all.slice(i * 200, (i + 1) * 200))
  const from = await gateway('pent-up')
  const waits = await Promise.all(bodies.map(body => sendPatiently(from, body)))
  expect(waits.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0)
  await eventually(async () => { expect(await sums()).toMatchObject({ accepted: 1_400, stored: 1_400, duplicate: 0, rows: 1_400 }) })
  const metrics = await ward.text('/metrics')
  expect(metrics).toMatch(/^oxbow_readings_limited_total\{limit="gateway"\} [1-9]\d*00$/m)
  expect(metrics).not.toContain('pent-up')
}, 120_000)

test('readings beside those of a wild device are stored at the first attempt, and all of them once it was sent again', async () => {
  const names = ['wild', 'calm-1', 'calm-2']
  for (const deviceId of names) await ward.admit({ deviceId, mrn: `mrn-${deviceId}`, start: iso(M - 86_400_000) })
  const before = await sums()
  const from = await gateway('mixed')
  expect(await sendPatiently(from, samples({ deviceId: 'wild', from: M, count: 200 }))).toBe(0)
  const mixed = names.flatMap(deviceId => samples({ deviceId, from: M + 200_000, count: 50 }))
  const wilder = [...mixed, ...samples({ deviceId: 'wild', from: M + 250_000, count: 50 })]
  const { status, body } = await from.telemetry(bodyOf(wilder), 'application/x-ndjson')
  expect([status, body]).toMatchObject([429, { received: 200, accepted: 100, quarantined: 0, limited: 100 }])
  await eventually(async () => { expect((await sums()).rows - before.rows).toBe(300) })
  expect(await sendPatiently(from, wilder)).toBeGreaterThan(0)
  await eventually(async () => {
    const { rows, duplicate, stored, accepted } = await sums()
    expect(rows - before.rows).toBe(400)
    expect(accepted).toBe(stored + duplicate)
    expect(duplicate).toBeGreaterThanOrEqual(100)
  })
}, 120_000)
