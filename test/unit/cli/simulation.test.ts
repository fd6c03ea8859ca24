import { expect, test } from 'vitest'
import { patientOf } from '../../../src/cli/demonstration/simulated-sensor.ts'
import { type SimulatedDevice, simulate } from '../../../src/cli/simulation.ts'
import type { TelemetryClient, TelemetryRecord } from '../../../src/cli/telemetry-client.ts'
import { epochMs } from '../../../src/model/units.ts'

function sensorsOf (count: number): SimulatedDevice[] {
  return Array.from({ length: count }, (_, index) => ({ deviceId: `d-${index + 1}`, patient: patientOf(index) }))
}

/** A server for which each request takes this long by a clock that only it moves. */
function scene (requestMs: number) {
  const begun = Date.UTC(2026, 2, 1)
  let time = begun
  let running = 0
  let atOnceMax = 0
  const sent: TelemetryRecord[] = []
  const client: TelemetryClient = {
    send: async records => {
      atOnceMax = Math.max(atOnceMax, ++running)
      await Promise.resolve()
      time += requestMs
      running--
      sent.push(...records)
      return { received: records.length, accepted: records.length - 1, quarantined: 1, rejected: [{ index: 0, reason: 'device-unknown' }] }
    }
  }
  const context = { now: () => epochMs(time), signal: new AbortController().signal }
  return { client, context, sent, atOnceMax: () => atOnceMax, begun, elapsedMs: () => time - begun }
}

const PLAIN = { rateHz: 1, lateShare: 0, duplicateShare: 0 }

test('what cannot be sent in time is dropped, so that the run ends near its time', async () => {
  const { client, context, sent, elapsedMs } = scene(100)
  const total = await simulate(client, sensorsOf(2_000), { ...PLAIN, seconds: 1 }, context)
  expect(elapsedMs()).toBeLessThan(2_000)
  expect(total.received).toBe(sent.length)
  expect(total.dropped).toBeGreaterThan(500)
})

test('requests of one tick go side by side, with a bound', async () => {
  const { client, context, atOnceMax } = scene(0)
  await simulate(client, sensorsOf(2_000), { ...PLAIN, seconds: 1 }, context)
  expect(atOnceMax()).toBe(8)
})

test('reasons are counted', async () => {
  const { client, context } = scene(0)
  expect(await simulate(client, sensorsOf(10), { ...PLAIN, seconds: 1 }, context)).toMatchObject({ quarantined: 1, reasons: { 'device-unknown': 1 }, dropped: 0 })
})

test('history waits for nothing and drops nothing', async () => {
  const { client, context, sent, begun } = scene(5_000)
  const total = await simulate(client, sensorsOf(1), { ...PLAIN, seconds: 60, past: epochMs(begun - 60_000) }, context)
  expect(total.dropped).toBe(0)
  expect(sent.length).toBe(total.received)
  expect(sent.map(({ timestamp_utc: at }) => at)).toEqual(sent.map(({ timestamp_utc: at }) => at).toSorted((a, b) => a - b))
  expect(sent.at(-1)!.timestamp_utc).toBeLessThanOrEqual(begun)
})

test('a run that is ended gives up what is held', async () => {
  const { client, context, sent } = scene(0)
  const total = await simulate(client, sensorsOf(3), { ...PLAIN, seconds: 5 }, { ...context, signal: AbortSignal.abort() })
  expect([total.received, sent]).toEqual([0, []])
})
