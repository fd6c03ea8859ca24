/** A plan -> requests encoded once, in which only device numbers and times are written anew for each POST. */

import { framed, V1_TYPE } from '../../support/telemetry.ts'
import { BATTERY_MV, deviceName, FIRMWARE, type LoadPlan, QUALITY, readingsPerPost, timeOf, VARIANTS, valuesAt } from './plan.ts'

/** One request, head and body; good until the next `fill`. */
export interface RequestTemplate {
  fill (gateway: number, post: number): Buffer
}

const ID_DIGITS = 6
const ID_PREFIX = deviceName(0).length - ID_DIGITS
const JSON_TIME_BYTES = 13
/** Avro long, zigzag: times between 2004 and 2039 take six bytes. */
const AVRO_TIME_BYTES = 6
const DIGIT_0 = 0x30

interface Slots { bytes: Buffer, idAt: Int32Array, timeAt: Int32Array }

/** @param plan every connection needs a template of its own */
export function createRequestTemplate (plan: LoadPlan): RequestTemplate {
  const variants = Array.from({ length: VARIANTS }, (_, variant) => requestOf(plan, plan.format === 'json' ? jsonBody(plan, variant) : avroBody(plan, variant)))
  const time = new Uint8Array(plan.format === 'json' ? JSON_TIME_BYTES : AVRO_TIME_BYTES)
  const writeTime = plan.format === 'json' ? writeDecimal : writeZigzag
  return {
    fill (gateway, post) {
      const { bytes, idAt, timeAt } = variants[post % VARIANTS]!
      for (let k = 0, slot = 0; k < plan.readingsPerDevice; k++) {
        writeTime(time, timeOf(plan, gateway, post, k))
        for (let d = 0; d < plan.devicesPerPost; d++, slot++) {
          const at = timeAt[slot]!
          for (let i = 0; i < time.length; i++) bytes[at + i] = time[i]!
          let rest = gateway * plan.devicesPerPost + d
          for (let i = idAt[slot]! + ID_DIGITS - 1; i >= idAt[slot]!; i--) {
            const next = (rest / 10) | 0
            bytes[i] = DIGIT_0 + rest - next * 10
            rest = next
          }
        }
      }
      return bytes
    }
  }
}

/** Readings of a POST in the order in which a gateway hears them: second by second, device by device. */
function slotsOf (plan: LoadPlan, variant: number): { takenAt: number, tissueO2: number, spo2: number }[] {
  return Array.from({ length: readingsPerPost(plan) }, (_, slot) => ({ takenAt: plan.startAt, ...valuesAt(variant, slot) }))
}

/** One record as JSON. */
export function recordText ({ deviceId, takenAt, tissueO2, spo2, quality }: { deviceId: string, takenAt: number, tissueO2: number, spo2: number, quality: number }): string {
  return `{"deviceId":"${deviceId}","patientId":null,"timestamp_utc":${takenAt},"spo2":${spo2.toFixed(1)},"local_tissue_o2":${tissueO2.toFixed(1)},` +
    `"battery_mv":${BATTERY_MV},"firmware_version":"${FIRMWARE}","signal_quality":${quality}}`
}

function jsonBody (plan: LoadPlan, variant: number): Slots {
  const texts = slotsOf(plan, variant).map(reading => recordText({ deviceId: deviceName(0), quality: QUALITY, ...reading }))
  const idBefore = '{"deviceId":"'.length + ID_PREFIX
  const timeBefore = `{"deviceId":"${deviceName(0)}","patientId":null,"timestamp_utc":`.length
  return placed(Buffer.from(`[${texts.join(',')}]`), texts.map(({ length }) => length), 1, 1, idBefore, timeBefore)
}

function avroBody (plan: LoadPlan, variant: number): Slots {
  const records = slotsOf(plan, variant).map(({ takenAt, tissueO2, spo2 }) => V1_TYPE.toBuffer({
    deviceId: deviceName(0), patientId: null, timestamp_utc: takenAt, spo2, local_tissue_o2: tissueO2, battery_mv: BATTERY_MV, firmware_version: FIRMWARE, signal_quality: QUALITY
  }))
  const bytes = framed(1, records)
  // Length byte, name, one byte for the absent patient, then the time.
  return placed(bytes, records.map(({ length }) => length), 5, 0, 1 + ID_PREFIX, 1 + deviceName(0).length + 1)
}

function placed (bytes: Buffer, lengths: readonly number[], start: number, gap: number, idBefore: number, timeBefore: number): Slots {
  const idAt = new Int32Array(lengths.length)
  const timeAt = new Int32Array(lengths.length)
  let at = start
  for (const [slot, length] of lengths.entries()) {
    idAt[slot] = at + idBefore
    timeAt[slot] = at + timeBefore
    at += length + gap
  }
  return { bytes, idAt, timeAt }
}

function requestOf (plan: LoadPlan, body: Slots): Slots {
  const { host } = new URL(plan.url)
  const type = plan.format === 'json' ? 'application/json' : 'application/avro'
  const head = Buffer.from(`POST /ingest/telemetry HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${plan.token}\r\nContent-Type: ${type}\r\nContent-Length: ${body.bytes.length}\r\n\r\n`)
  const shift = (places: Int32Array) => places.map(at => at + head.length)
  return { bytes: Buffer.concat([head, body.bytes]), idAt: shift(body.idAt), timeAt: shift(body.timeAt) }
}

function writeDecimal (into: Uint8Array, value: number): void {
  let rest = value
  for (let i = into.length - 1; i >= 0; i--) {
    const next = Math.floor(rest / 10)
    into[i] = DIGIT_0 + rest - next * 10
    rest = next
  }
}

function writeZigzag (into: Uint8Array, value: number): void {
  let rest = value * 2
  for (let i = 0; i < into.length; i++) {
    const next = Math.floor(rest / 128)
    into[i] = (rest - next * 128) | (i < into.length - 1 ? 0x80 : 0)
    rest = next
  }
}
