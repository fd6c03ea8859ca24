import { expect, test } from 'vitest'
import { CHECK_LIMITS } from '../../../src/ingest/check-reading.ts'
import { decodeJson } from '../../../src/ingest/decode/json.ts'
import { DECODE_LIMITS } from '../../../src/ingest/decode/record.ts'
import { createIdentify, type GateVisit, type Identified } from '../../../src/ingest/identify.ts'
import type { ReasonCode } from '../../../src/model/reason.ts'
import { DOOR_NOW, MODELS, resolveAtDoor } from '../../support/ingest-door.ts'
import { json, sentV1, TAKEN_AT } from '../../support/telemetry.ts'

test('only what could be stored waits behind older readings of its device; the rest has a reason of its own', async () => {
  const waiting: ReasonCode[] = []
  const visit: GateVisit = { mustWait: () => true, willWait: (_deviceId, reason) => { waiting.push(reason) }, end () {} }
  const identify = createIdentify({
    resolve: (deviceId, _takenAt, patientId) => resolveAtDoor(deviceId, patientId), firmwareNumber: () => 1, models: MODELS, checkLimits: CHECK_LIMITS
  })
  const body = decodeJson(json([sentV1(), sentV1({ timestamp_utc: TAKEN_AT + 400_000 }), sentV1({ patientId: 'other' })]), DECODE_LIMITS)
  if (body.unreadable !== undefined) throw new Error(body.detail)
  const { groups, failures }: Identified = await identify(body.records, DOOR_NOW, visit)
  expect(groups).toEqual([])
  expect(failures.map(({ record, reason }) => [record.index, reason])).toEqual([[0, 'behind-waiting'], [1, 'time-future'], [2, 'patient-mismatch']])
  expect(waiting).toEqual(['behind-waiting'])
})
