/** The door with small functions for what it asks of others: nothing is durable, everything can be looked at. */

import { createSecretKey } from 'node:crypto'
import { type Accept, createAccept } from '../../src/ingest/accept.ts'
import type { Admit } from '../../src/ingest/admit.ts'
import { CHECK_LIMITS } from '../../src/ingest/check-reading.ts'
import { CONTENT_LIMITS } from '../../src/ingest/decode/content.ts'
import type { BodyLimits } from '../../src/ingest/decode/decode-body.ts'
import { FIXED_SCHEMAS } from '../../src/ingest/decode/fixed-readers.ts'
import { DECODE_LIMITS } from '../../src/ingest/decode/record.ts'
import { createIdentify, type GateVisit } from '../../src/ingest/identify.ts'
import type { NewItem } from '../../src/ingest/quarantine/quarantine-item.ts'
import { type DeviceModel, type DeviceModels, modelKey } from '../../src/model/device-model.ts'
import type { Resolution } from '../../src/model/identity.ts'
import type { ReadingBatch, Sid } from '../../src/model/reading.ts'
import { decodeReadingBatch } from '../../src/model/reading-record.ts'
import { READINGS } from '../../src/model/streams.ts'
import { epochMs } from '../../src/model/units.ts'
import type { BusRecord } from '../../src/platform/bus/bus.ts'
import { TAKEN_AT } from './telemetry.ts'

export const SID_1 = 's1000000000000000000000000000' as Sid
export const SID_2 = 's100041061050r3gg28a1c60t3gf6' as Sid
export const DOOR_NOW = epochMs(TAKEN_AT + 2_000)
export const RAW_KEY = createSecretKey(Buffer.alloc(32, 7))

export const READER: DeviceModel = {
  manufacturer: 'Example Sensors Inc.', modelNumber: 'TO2-READER-2', display: 'reader',
  channels: [
    { metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', periodMs: 1_000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional' },
    { metric: 'spo2', kind: 'spo2', unit: '%', periodMs: 1_000, technicalRange: { low: 0, high: 100 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional' }
  ],
  v1: { spo2: 'spo2', local_tissue_o2: 'tissue-po2' },
  batteryRange: { low: 0, high: 6_000 }
}
export const MODELS: DeviceModels = new Map([[modelKey(READER), READER]])

/** `device-1` and `device-2` are worn, `device-1` by patient `p1`; `spare` is registered; `odd` has a model nobody knows. */
export function resolveAtDoor (deviceId: string, patientId?: string): Resolution {
  const model = modelKey(READER)
  switch (deviceId) {
    case 'device-1': return patientId === undefined || patientId === 'p1' ? { sid: SID_1, model } : { model, reason: 'patient-mismatch' }
    case 'device-2': return { sid: SID_2, model }
    case 'odd': return { sid: SID_2, model: 'Nobody/1' }
    case 'spare': return { model, reason: 'not-associated' }
    case 'later': return { reason: 'linkage-unavailable' }
    default: return { reason: 'device-unknown' }
  }
}

export interface TestDoor {
  accept: Accept
  published: BusRecord[]
  batches (): ReadingBatch[]
  items: NewItem[]
  accepted: number
}

export function testDoor (options: { limits?: Partial<BodyLimits>, isSlow?: boolean, publish?: () => Promise<never>, assertRoom?: () => void, admit?: Admit } = {}): TestDoor {
  const door: TestDoor = { published: [], items: [], accepted: 0, batches: () => [], accept: async () => { throw new Error() } }
  const resolve = (deviceId: string, _takenAt: unknown, patientId?: string) => {
    const answer = resolveAtDoor(deviceId, patientId)
    return options.isSlow === true ? Promise.resolve(answer) : answer
  }
  const visit: GateVisit = { mustWait: () => false, willWait: () => {}, end: () => {} }
  door.batches = () => door.published.filter(({ topic }) => topic === READINGS).map(({ value }) => decodeReadingBatch(value))
  door.accept = createAccept({
    identify: createIdentify({ resolve, firmwareNumber: text => text === '' ? 0 : options.isSlow === true ? Promise.resolve(7) : 7, models: MODELS, checkLimits: CHECK_LIMITS }),
    publish: options.publish ?? (async records => {
      door.published.push(...records)
      return records.map(({ topic }, offset) => ({ topic, partition: 0, offset }))
    }),
    dataKeys: { forSid: () => RAW_KEY, warm: () => undefined },
    quarantine: { assertRoom: options.assertRoom ?? (() => {}), add: async items => { door.items.push(...items) } },
    enterGate: () => visit,
    admit: options.admit,
    counters: { accepted: (_hour, count) => { door.accepted += count } },
    events: { accepted: () => {} },
    now: () => DOOR_NOW,
    limits: { ...DECODE_LIMITS, ...CONTENT_LIMITS, ...options.limits },
    schemas: FIXED_SCHEMAS,
    inlet: 'http/test'
  })
  return door
}
