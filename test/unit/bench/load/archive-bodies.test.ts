import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createBodies } from '../../../bench/load/archive-bodies.ts'

const PLAN = { devices: 20, devicesPerPost: 10, readingsPerDevice: 10, startAt: 1_000_000 }
interface Sent { deviceId: string, timestamp_utc: number, spo2: number, local_tissue_o2: number }
const read = (bodies: readonly Buffer[]) => bodies.map(body => JSON.parse(body.toString()) as Sent[])

test('no device has two readings of one time, and its requests follow on one another', () => {
  const next = createBodies(PLAN)
  const bodies = [...read(next(400)), ...read(next(400))]
  expect(bodies.map(({ length }) => length)).toEqual(new Array(8).fill(100))
  const sent = bodies.flat()
  expect(new Set(sent.map(({ deviceId, timestamp_utc: at }) => `${deviceId} ${at}`)).size).toBe(800)
  const times = sent.filter(({ deviceId }) => deviceId === sent[0]!.deviceId).map(({ timestamp_utc: at }) => at)
  expect(times).toEqual(Array.from({ length: 40 }, (_, second) => 1_000_000 + second * 1_000))
})

test('values stay within what the sensor can give, and do not repeat from request to request', () => {
  const bodies = createBodies(PLAN)(16_000)
  for (const { spo2, local_tissue_o2: oxygen } of read(bodies).flat()) {
    expect(spo2 >= 90 && spo2 <= 100).toBe(true)
    expect(oxygen > 0 && oxygen < 160).toBe(true)
  }
  // A reading has about seven bits that nothing foretells.
  const all = Buffer.concat(bodies)
  expect(gzipSync(all).length).toBeGreaterThan(16_000 * 7 / 8)
})
