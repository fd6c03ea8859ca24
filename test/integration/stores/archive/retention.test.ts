import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { openEmbeddedBus } from '../../../../src/platform/bus/embedded/embedded-bus.ts'
import { type ArchiveSystem, archiveSystem } from '../../../support/archive-system.ts'

/** Released at once: when it is gone retention has run. */
const MARK = 'mark'
let system: ArchiveSystem

beforeAll(async () => {
  system = await archiveSystem((url, now) => openEmbeddedBus({
    url, now, retentionEveryMs: 20, topics: [{ topic: READINGS, partitions: 4 }, { topic: RAW, partitions: 4, retainMs: 0, backlogMax: 6 }, { topic: MARK, partitions: 1, retainMs: 0 }]
  }))
})
afterAll(() => system?.close())

const onBus = async (topic = RAW) => (await system.database.pool.query<{ count: number }>(
  'SELECT coalesce(sum(record_count), 0)::int AS count FROM bus.batch JOIN bus.topic USING (topic_id) WHERE topic = $1', [topic])).rows[0]!.count

async function retentionRan (): Promise<void> {
  await system.bus.publish([{ topic: MARK, key: 'k', value: Buffer.from('x') }])
  const consumer = await system.bus.consume({ topic: MARK, partitions: [0], resumeFrom: async () => new Map() })
  for (const { partition, nextOffset } of await consumer.take(1)) consumer.release(partition, nextOffset)
  await consumer.close()
  // What was appended in this millisecond is not past its time yet.
  system.now = epochMs(system.now + 1_000)
  await vi.waitFor(async () => { expect(await onBus(MARK)).toBe(0) }, { timeout: 20_000, interval: 20 })
}

test('raw records stay on the bus until they are archived, and go then', async () => {
  const { deviceId } = system.wornDevice()
  for (let request = 0; request < 5; request++) await system.post([deviceId], 3)
  const writer = await system.start({ sliceMs: 3_600_000, sliceBytes: 60_000_000 })
  await vi.waitFor(() => { expect(system.reports).toContain('recovered') })
  await retentionRan()
  expect(await onBus()).toBe(5)
  await writer.stop()
  await vi.waitFor(async () => { expect(await onBus()).toBe(0) }, { timeout: 20_000, interval: 50 })
  expect(await system.verify()).toMatchObject({ ok: true, readings: { opened: 15 }, underway: { records: 0 } })
})

test('while the archive stands still the door takes readings up to the limit of the raw topic, and none beyond', async () => {
  const { deviceId } = system.wornDevice()
  for (let request = 0; request < 6; request++) await system.post([deviceId], 2)
  await expect(system.post([deviceId], 2)).rejects.toThrowError(expect.objectContaining({ code: 'BUS_FULL', category: 'busy' }))
  const writer = await system.start()
  await system.archived()
  await system.post([deviceId], 2)
  await system.archived()
  await writer.stop()
  expect(await system.verify()).toMatchObject({ ok: true, readings: { opened: 29 } })
})

test('the end of an archive that is gone from manifest, partition and folder alike is missed: the bus has removed it as archived', async () => {
  system.now = epochMs(system.now + 1_000)
  await vi.waitFor(async () => { expect(await onBus()).toBe(0) }, { timeout: 20_000, interval: 50 })
  const { owner } = system.database
  const { rows: [last] } = await owner.query<{ partition: number, first: number, name: string, previous: string }>(`DELETE FROM archive.object WHERE (partition, first_offset) IN (
    SELECT partition, max(first_offset) FROM archive.object GROUP BY partition ORDER BY 2 DESC LIMIT 1) RETURNING partition, first_offset::int AS first, name, manifest::json->>'previous' AS previous`)
  await owner.query('UPDATE archive.partition SET next_offset = $2, head = $3 WHERE partition = $1', [last!.partition, last!.first, Buffer.from(last!.previous, 'hex')])
  await rm(join(system.folder, 'archive', last!.name))
  const { ok, findings } = await system.verify()
  expect([ok, findings.map(({ kind }) => kind)]).toEqual([false, ['range-gone']])
  expect(findings[0]!.detail).toContain(`offsets ${last!.first} to `)
})
