import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSetAside } from '../../../../src/ingest/quarantine/set-aside.ts'
import { READINGS } from '../../../../src/model/streams.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { arrivalDay, createDataKeys } from '../../../../src/security/data-keys.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

let system: IngestSystem
beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add('device-1')
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
})
afterAll(() => system?.close())

test('bodies and fields that nobody can open any more are discarded with a note, and those behind them go', async () => {
  const ingest = await system.open()
  const setAside = createSetAside(ingest.quarantine, () => system.now, READINGS)
  const open = () => ingest.review.list({ states: ['held', 'waiting'], limit: 100 })
  const unknown = { metric: 'unknown', kind: 'unknown', unit: '%', value: 1 }
  await setAside([{ partition: 0, offset: 1, value: json(sentV2({ sequence: 1 })) }])
  await ingest.accept({ bytes: json([sentV2({ sequence: 2, channels: [...sentV2().channels, unknown] })]), contentType: 'application/json', contentEncoding: '' })
  const lost = await open()
  expect(lost.map(({ kind }) => kind)).toEqual(['body', 'field'])
  const day = arrivalDay(system.now)
  system.now = epochMs(system.now + 86_400_000)
  await setAside([{ partition: 0, offset: 2, value: json(sentV2({ sequence: 3 })) }])
  await system.keyRing.destroy((await system.keyRing.dek('quarantine', { store: 'quarantine', object: day, purpose: 'data-key' })).id, 'test')
  const later = await system.open({ dataKeys: createDataKeys({ keyRing: system.keyRing, now: () => system.now }) })
  expect(await later.review.resubmit((await open()).map(({ id }) => id))).toEqual({ resubmitted: 1, remaining: [] })
  for (const { id } of lost) expect((await later.review.show(id))?.head).toMatchObject({ state: 'discarded', note: 'the key of its day was destroyed', settledBy: 'oxbow' })
  const sequences = (await system.batches()).flatMap(batch => batch.readings.map(({ sequence }) => sequence))
  expect(sequences).toEqual([2, 3])
})
