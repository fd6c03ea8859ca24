import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { encodeRawFrame } from '../../../../src/ingest/raw-frame.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { isSid } from '../../../../src/model/handle.ts'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createEvents } from '../../../../src/observability/events.ts'
import { createLogger } from '../../../../src/observability/logger.ts'
import { openEmbeddedBus } from '../../../../src/platform/bus/embedded/embedded-bus.ts'
import { OF_SID, rawContext } from '../../../../src/security/data-keys.ts'
import { seal } from '../../../../src/security/envelope.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { loadDirectoryKey } from '../../../../src/stores/archive/directory-key.ts'
import type { Manifest } from '../../../../src/stores/archive/manifest.ts'
import { commitObject, openHeads, type PartitionHead, type Reservation, reserve } from '../../../../src/stores/archive/manifest-rows.ts'
import { openArchive } from '../../../../src/stores/archive/open-archive.ts'
import { type ArchiveSystem, archiveSystem } from '../../../support/archive-system.ts'

let system: ArchiveSystem

beforeAll(async () => { system = await archiveSystem() })
afterAll(() => system?.close())

test('what came in stands in the archive, each record once, and is released to the bus', async () => {
  const writer = await system.start()
  const worn = Array.from({ length: 5 }, () => system.wornDevice())
  for (let request = 0; request < 20; request++) await system.post([...worn.map(({ deviceId }) => deviceId), 'nobody'], 12)
  await system.archived()
  await writer.stop()
  const report = await system.verify()
  expect(report.findings).toEqual([])
  expect(report).toMatchObject({
    ok: true, readings: { opened: 200, erased: 0 }, requests: { complete: 20, unanswered: 0, unplaced: 0, unjudged: 0 }, underway: { objects: 0, records: 0 },
    quarantine: { waiting: 40, held: 0 }
  })
  expect(system.bus.backlog(RAW)).toBe(0)
})

const lost = (): never => { throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'the test took it away') }

/** Each happens once: the answer of a step is lost before it is done, or after. */
const CRASHES = [
  ['before the range is reserved', 'reserve', 'before'], ['after the range is reserved', 'reserve', 'after'],
  ['before the object is written', 'put', 'before'], ['after the object is written', 'put', 'after'],
  ['before the row is written', 'commit', 'before'], ['after the row is written', 'commit', 'after']
] as const

test.each(CRASHES)('a failure %s loses and doubles nothing', async (_, step, when) => {
  const { deviceId } = system.wornDevice()
  let isDue = true
  const failing = <A extends unknown[], T>(name: typeof step, work: (...args: A) => Promise<T>) => async (...args: A): Promise<T> => {
    const isNow = isDue && name === step
    if (isNow) isDue = false
    if (isNow && when === 'before') return lost()
    const done = await work(...args)
    return isNow ? lost() : done
  }
  system.reports.length = 0
  await system.post([deviceId], 7)
  const pool = system.database.poolOf('oxbow_archive')
  const writer = await system.start({
    objects: { get: system.objects.get, put: failing('put', system.objects.put) },
    rows: {
      openHeads: partitions => openHeads(pool, partitions),
      reserve: failing('reserve', (head: PartitionHead, range: Reservation) => reserve(pool, head, range)),
      commitObject: failing('commit', (head: PartitionHead, manifest: Manifest) => commitObject(pool, head, manifest))
    }
  })
  await system.archived()
  await system.post([deviceId], 3)
  await system.archived()
  await writer.stop()
  expect(isDue).toBe(false)
  expect(system.reports).toContain('failed STORE_UNAVAILABLE')
  expect(system.reports.at(-1)).toBe('recovered')
  const report = await system.verify()
  expect(report.findings).toEqual([])
  expect(report.underway).toEqual({ objects: 0, records: 0 })
})

test('two servers that archive the same partitions at once lose and double nothing: one of them is refused', async () => {
  const worn = Array.from({ length: 4 }, () => system.wornDevice().deviceId)
  const other = await openEmbeddedBus({ url: system.database.url, topics: [{ topic: READINGS, partitions: 4 }, { topic: RAW, partitions: 4 }], now: () => system.now })
  system.reports.length = 0
  const writers = [await system.start(), await system.start({ bus: other })]
  for (let request = 0; request < 40; request++) await system.post(worn, 8)
  await system.archived()
  for (const writer of writers) await writer.stop()
  await other.close()
  expect((await system.verify()).findings).toEqual([])
})

test('what a sid whose key was destroyed sent is not archived, and it is said how many; the others are', async () => {
  const [gone, there] = [system.wornDevice(), system.wornDevice()]
  await system.post([gone.deviceId, there.deviceId], 10)
  const before = await system.verify()
  const { id } = await system.keyRing.dek('archive', OF_SID(gone.sid))
  await system.keyRing.destroy(id, 'test')
  system.dataKeys.forget(gone.sid)
  system.reports.length = 0
  const writer = await system.start()
  await system.archived()
  await writer.stop()
  expect(system.reports.reduce((sum, text) => sum + Number(/^archived (\d+)$/.exec(text)?.[1] ?? 0), 0)).toBe(5)
  const report = await system.verify()
  expect(report.findings).toEqual([])
  expect(report.readings).toEqual({ opened: before.readings.opened + 5, erased: before.readings.erased + 5 })
  expect(report.requests!.complete).toBe(before.requests!.complete + 1)
})

test('what is released from quarantine is archived at the place where it came in, and once more when its mark was lost', async () => {
  const waiting = { deviceId: 'waits-1', sid: system.wornDevice().sid }
  system.registered.add(waiting.deviceId)
  await system.post([system.wornDevice().deviceId, waiting.deviceId], 6)
  const before = await system.verify()
  const [, ...open] = await system.ingest.review.list({ deviceId: waiting.deviceId, limit: 10 })
  expect(open.length).toBe(2)
  system.worn.push({ ...waiting, from: 0 })
  system.ingest.releaser.associationRecorded([waiting.deviceId])
  await system.ingest.releaser.settled()
  // As if the process had ended between the append and the mark of two of them.
  await system.database.owner.query("UPDATE quarantine.item SET state = 'waiting', settled_at = NULL, sealed = $2 WHERE id = ANY($1)", [open.map(({ id }) => id), Buffer.alloc(40)])
  const writer = await system.start()
  await system.archived()
  await writer.stop()
  const report = await system.verify()
  expect(report.findings).toEqual([])
  expect(report.requests!.complete).toBe(before.requests!.complete + 1)
  expect(report.quarantine).toMatchObject({ waiting: before.quarantine!.waiting - 1, released: before.quarantine!.released + 1 })
})

test('while the store of objects is away readings go on and wait on the bus, and it is said; then all of them are archived', async () => {
  const { deviceId } = system.wornDevice()
  let isAway = true
  const away = <A extends unknown[], T>(work: (...args: A) => Promise<T>) => (...args: A): Promise<T> => isAway ? Promise.reject(new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'away')) : work(...args)
  system.reports.length = 0
  const writer = await system.start({ objects: { get: away(system.objects.get), put: away(system.objects.put) } })
  for (let request = 0; request < 10; request++) await system.post([deviceId], 4)
  await expect.poll(() => system.reports.filter(text => text === 'failed STORE_UNAVAILABLE').length).toBeGreaterThan(3)
  expect(system.bus.backlog(RAW)).toBe(10)
  expect(system.reports).not.toContain('archived 4')
  isAway = false
  await system.archived()
  await writer.stop()
  expect(system.reports.at(-1)).toBe('recovered')
  expect((await system.verify()).findings).toEqual([])
})

test('stopping writes what is open', async () => {
  const { deviceId } = system.wornDevice()
  const writer = await system.start({ sliceMs: 3_600_000 })
  await system.post([deviceId], 5)
  await expect.poll(() => system.bus.backlog(RAW)).toBe(1)
  await writer.stop()
  expect(system.bus.backlog(RAW)).toBe(0)
  expect(await system.verify()).toMatchObject({ ok: true, underway: { objects: 0, records: 0 } })
})

test('raw records from before places were written are archived as they are', async () => {
  const { sid } = system.wornDevice()
  const before = await system.verify()
  const originals = Buffer.from('{"a":1}{"b":2}')
  const head = Buffer.alloc(18)
  head.set([0x01, 1])
  head.writeUInt32BE(2, 2)
  head.writeUIntBE(system.now, 6, 6)
  head.writeUIntBE(77, 12, 6)
  const lengths = Buffer.alloc(12)
  lengths.writeUInt32BE(2)
  lengths.writeUInt32BE(7, 4)
  lengths.writeUInt32BE(7, 8)
  const value = Buffer.concat([head, Buffer.of(8), Buffer.from('http/old'), lengths, seal(await system.dataKeys.forSid(sid), rawContext(sid), originals)])
  await system.bus.publish([{ topic: RAW, key: sid, value }])
  const writer = await system.start()
  await system.archived()
  await writer.stop()
  const report = await system.verify()
  expect(report.findings).toEqual([])
  expect([report.readings.opened - before.readings.opened, report.requests]).toEqual([2, before.requests])
  const [manifest] = (await owned()).filter(({ sources }) => sources[0]?.inlet === 'http/old')
  expect(manifest).toMatchObject({ readings: 2, readingBytes: 14, sources: [{ inlet: 'http/old', from: 77, to: 77, readings: 2 }], schemas: [{ content: 'json', id: 2, readings: 2 }] })
})

async function owned (): Promise<Manifest[]> {
  const { rows } = await system.database.owner.query<{ manifest: string }>('SELECT manifest FROM archive.object WHERE manifest IS NOT NULL')
  return rows.map(({ manifest }) => JSON.parse(manifest) as Manifest)
}

test('operators are told: an alarm while nothing can be archived, counts of what is, and how much went with its key', async () => {
  const [{ deviceId, sid }, gone] = [system.wornDevice(), system.wornDevice()]
  await system.post([deviceId, gone.deviceId], 10)
  await system.keyRing.destroy((await system.keyRing.dek('archive', OF_SID(gone.sid))).id, 'test')
  system.dataKeys.forget(gone.sid, sid)
  const registry = new Registry()
  const lines: string[] = []
  const events = createEvents(registry, createLogger('info', line => { lines.push(line) }), () => system.now)
  let isAway = true
  const archive = openArchive({
    bus: system.bus, pool: system.database.poolOf('oxbow_archive'), events, now: () => system.now, sliceMs: 0, sliceBytes: 1_000_000,
    keys: { directory: await loadDirectoryKey(system.keyRing), ofSids: system.dataKeys.heldForSids, knownSids: async () => new Set() }, setAside: async () => {},
    objects: { get: system.objects.get, put: (name, bytes) => isAway ? Promise.reject(new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'away')) : system.objects.put(name, bytes) }
  })
  await vi.waitFor(() => { expect(events.raisedAlarms()).toEqual(['archive-failed']) }, { timeout: 20_000 })
  isAway = false
  await system.archived()
  await vi.waitFor(() => { expect(events.raisedAlarms()).toEqual([]) }, { timeout: 20_000 })
  await archive.stop()
  const metrics = await registry.metrics()
  for (const line of ['oxbow_archived_readings_total 5', 'oxbow_archive_erased_readings_total 5', 'oxbow_operational_alarms_total{alarm="archive-failed"}']) expect(metrics).toContain(line)
  expect(lines.some(line => line.includes('"event":"archive-failed"') && line.includes('"code":"STORE_UNAVAILABLE"'))).toBe(true)
  for (const line of lines) expect([line.includes(sid), line.includes(gone.sid), line.includes(deviceId)]).toEqual([false, false, false])
})

/** A record in our form that our key did not seal. */
function forged (receivedAt: number): Buffer {
  const origins = [{ inlet: 'http/test', number: 1, records: 0 }]
  return encodeRawFrame({ content: 'json', schemaId: 1, receivedAt: epochMs(receivedAt), way: 'arrived', origins, runs: [] }, [{ source: Buffer.alloc(35, 1), start: 0, end: 35 }], () => Buffer.alloc(64, 1))
}

const items = async () => (await system.database.owner.query<{ source: string, reason: string, timesSeen: number }>(
  `SELECT source, reason, times_seen AS "timesSeen" FROM quarantine.item WHERE starts_with(source, 'bus/') ORDER BY source`)).rows

test('what Oxbow did not write is set aside, once, and everything else is archived; no key is made for what is no sid', async () => {
  const worn = system.wornDevice()
  await system.dataKeys.forSid(worn.sid)
  const before = await system.verify()
  await system.post([worn.deviceId], 4)
  const later = Date.now() + 3_600_000
  const foreign = [
    { key: worn.sid, value: Buffer.from('no frame') }, { key: 'nobody', value: Buffer.from('neither') }, { key: 'device-42', value: forged(later) }, { key: worn.sid, value: forged(later + 1) },
    { key: drawSid(), value: forged(system.now) }, { key: worn.sid, value: Buffer.alloc(0) }
  ]
  await system.bus.publish(foreign.map(record => ({ topic: RAW, ...record })))
  await system.post([worn.deviceId], 3)
  system.reports.length = 0
  const asked: string[] = []
  let isDue = true
  const writer = await system.start({
    keys: {
      directory: await loadDirectoryKey(system.keyRing), knownSids: async () => new Set(system.worn.map(({ sid }) => sid)),
      ofSids: sids => { asked.push(...sids); return system.dataKeys.heldForSids(sids) }
    },
    // As if the process had ended between the quarantine and the object.
    objects: { get: system.objects.get, put: (name, bytes) => {
      if (isDue && system.reports.some(text => text.startsWith('foreign'))) { isDue = false; return Promise.reject(new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'the test took it away')) }
      return system.objects.put(name, bytes)
    } }
  })
  await system.archived()
  await writer.stop()
  expect([isDue, asked.every(isSid), asked.includes(worn.sid)]).toEqual([false, true, true])
  expect((await items()).map(({ reason, timesSeen }) => [reason, timesSeen])).toEqual(foreign.map(() => ['foreign-record', 1]))
  for (const { source } of await items()) expect(source).toMatch(/^bus\/oxbow\.raw\.v1\/\d+\/\d+$/)
  const report = await system.verify()
  expect([report.findings, report.underway.records, report.readings.opened - before.readings.opened, report.quarantine!.held - before.quarantine!.held]).toEqual([[], 0, 7, 6])
})

test('a record of ours whose key is not the one it was sealed with stops the archive, which says so and loses nothing', async () => {
  const { sid } = system.wornDevice()
  const known = await items()
  system.reports.length = 0
  // Its key is made now: whatever it was sealed with before is lost.
  await system.bus.publish([{ topic: RAW, key: sid, value: forged(system.now) }])
  const writer = await system.start()
  await expect.poll(() => system.reports.filter(text => text === 'failed KEY_CONTEXT').length).toBeGreaterThan(1)
  await writer.stop()
  expect(system.bus.backlog(RAW)).toBe(1)
  expect(await items()).toEqual(known)
})
