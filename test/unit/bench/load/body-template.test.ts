import { expect, test } from 'vitest'
import { createRequestTemplate } from '../../../bench/load/body-template.ts'
import { deviceName, type LoadPlan, timeOf, VARIANTS, valuesAt } from '../../../bench/load/plan.ts'
import { V1_TYPE } from '../../../support/telemetry.ts'

const PLAN: LoadPlan = {
  url: 'http://127.0.0.1:8080', token: 'token', format: 'json', connections: 1, devices: 120_000, devicesPerPost: 10, readingsPerDevice: 10,
  startAt: Date.UTC(2026, 10, 21), staggerMs: 60_000
}

function bodyOf (plan: LoadPlan, gateway: number, post: number): { head: string, body: Buffer } {
  const request = createRequestTemplate(plan).fill(gateway, post)
  const bodyAt = request.indexOf('\r\n\r\n') + 4
  return { head: request.toString('latin1', 0, bodyAt), body: request.subarray(bodyAt) }
}

function expected (gateway: number, post: number): object[] {
  return Array.from({ length: 100 }, (_, slot) => {
    const { tissueO2, spo2 } = valuesAt(post % VARIANTS, slot)
    return {
      deviceId: deviceName(gateway * 10 + slot % 10), patientId: null, timestamp_utc: timeOf(PLAN, gateway, post, Math.floor(slot / 10)),
      spo2, local_tissue_o2: tissueO2, battery_mv: 3_700, firmware_version: '2.4.1', signal_quality: 92
    }
  })
}

test('a JSON request holds ten seconds of ten devices, with the length it says', () => {
  for (const [gateway, post] of [[0, 0], [11_999, 13]] as const) {
    const { head, body } = bodyOf(PLAN, gateway, post)
    expect(JSON.parse(body.toString())).toEqual(expected(gateway, post))
    expect(head).toContain(`\r\nContent-Length: ${body.length}\r\n`)
  }
})

test('an Avro request holds the same', () => {
  for (const [gateway, post] of [[0, 0], [11_999, 13]] as const) {
    const { body } = bodyOf({ ...PLAN, format: 'avro' }, gateway, post)
    expect(body.subarray(0, 5)).toEqual(Buffer.from([0, 0, 0, 0, 1]))
    const records: unknown[] = []
    for (let at = 5; at < body.length;) {
      const decoded = V1_TYPE.decode(body, at)
      records.push({ ...decoded.value as object })
      at = decoded.offset
    }
    expect(records).toEqual(expected(gateway, post))
  }
})
