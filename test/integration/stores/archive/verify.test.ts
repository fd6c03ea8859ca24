import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { createLocalKeyRing } from '../../../../src/platform/keys/local.ts'
import { OF_SID } from '../../../../src/security/data-keys.ts'
import { seal } from '../../../../src/security/envelope.ts'
import { loadDirectoryKey } from '../../../../src/stores/archive/directory-key.ts'
import { type Manifest, manifestText, sha256 } from '../../../../src/stores/archive/manifest.ts'
import { decodeFrame, type Directory, directoryContext, encodeDirectory, encodeFrame, frameContext, HEAD_BYTES, joinObject, openPart, sealPart } from '../../../../src/stores/archive/object-bytes.ts'
import { openObject } from '../../../../src/stores/archive/open-object.ts'
import { type ArchiveSystem, archiveSystem } from '../../../support/archive-system.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let system: ArchiveSystem
let worn: ReturnType<ArchiveSystem['wornDevice']>[]
let otherKeys: TestDatabase

beforeAll(async () => {
  system = await archiveSystem()
  otherKeys = await testDatabase('keys')
  const writer = await system.start()
  worn = Array.from({ length: 6 }, () => system.wornDevice())
  for (let request = 0; request < 12; request++) {
    await system.post([...worn.map(({ deviceId }) => deviceId), 'nobody'], 14)
    await system.archived()
  }
  await writer.stop()
})
afterAll(async () => {
  await otherKeys?.drop()
  await system?.close()
})
beforeEach(async () => { expect(await found()).toEqual([]) })

const found = async (...change: Parameters<ArchiveSystem['verify']>) => (await system.verify(...change)).findings.map(({ kind, object, detail }) => ({ kind, object, detail }))
const owner = () => system.database.owner
const pathOf = (object: string) => join(system.folder, 'archive', object)

async function manifests (): Promise<Manifest[]> {
  const { rows } = await owner().query<{ manifest: string }>('SELECT manifest FROM archive.object ORDER BY partition, first_offset')
  return rows.map(({ manifest }) => JSON.parse(manifest) as Manifest)
}

/** Two objects of one partition, one behind the other, that are not its last. */
async function neighbours (): Promise<[Manifest, Manifest]> {
  const all = await manifests()
  const place = all.findIndex(({ partition }, index) => all[index + 1]?.partition === partition && all[index + 2]?.partition === partition)
  return [all[place]!, all[place + 1]!]
}

/** Changes a file for as long as `check` runs. */
async function withBytes (object: string, change: (bytes: Buffer) => Buffer, check: () => Promise<void>): Promise<void> {
  const path = pathOf(object)
  const bytes = await readFile(path)
  await chmod(path, 0o600)
  try {
    await writeFile(path, change(Buffer.from(bytes)))
    await check()
  } finally {
    await writeFile(path, bytes)
    await chmod(path, 0o400)
  }
}

/** Runs statements as the owner, without the guard of the manifest, and takes their effect back. */
async function withRows (statements: readonly [string, unknown[]][], check: () => Promise<void>): Promise<void> {
  const tables = ['archive.partition', 'archive.object', 'quarantine.item', 'quarantine.book']
  for (const table of tables) await owner().query(`CREATE TABLE public.${table.replace('.', '_')} AS TABLE ${table}`)
  try {
    await owner().query('ALTER TABLE archive.object DISABLE TRIGGER keep_manifest')
    for (const [text, values] of statements) await owner().query(text, values)
    await check()
  } finally {
    await owner().query('DELETE FROM archive.object')
    for (const table of tables) {
      await owner().query(`DELETE FROM ${table}`)
      await owner().query(`INSERT INTO ${table} OVERRIDING SYSTEM VALUE TABLE public.${table.replace('.', '_')}`)
      await owner().query(`DROP TABLE public.${table.replace('.', '_')}`)
    }
    await owner().query('ALTER TABLE archive.object ENABLE TRIGGER keep_manifest')
  }
}

test('a whole archive: everything is counted and nothing found', async () => {
  const report = await system.verify()
  expect(report).toMatchObject({
    ok: true, counts: {}, readings: { opened: 144, erased: 0 }, underway: { objects: 0, records: 0 },
    requests: { complete: 12, unanswered: 0, unplaced: 0, unjudged: 0 }, quarantine: { waiting: 24, held: 0, released: 0, resubmitted: 0, discarded: 0 }
  })
  const all = await manifests()
  expect(report.objects).toBe(all.length)
  expect(report.bytes).toBe(all.reduce((sum, { bytes }) => sum + bytes, 0))
  expect(all.reduce((sum, { readings }) => sum + readings, 0)).toBe(144)
  for (const { sources, schemas, erased } of all) {
    expect(sources.map(({ inlet }) => inlet)).toEqual(['http/test'])
    expect([schemas.map(({ content, id }) => [content, id]), erased]).toEqual([[['json', 2]], { records: 0, readings: 0 }])
  }
})

test.each(['the head', 'the directory', 'a frame', 'the last byte'])('a flipped bit in %s is found, in the object named', async place => {
  const [{ object, bytes: size }] = await neighbours()
  const at = { 'the head': 3, 'the directory': HEAD_BYTES + 40, 'a frame': size - 60, 'the last byte': size - 1 }[place]!
  await withBytes(object, bytes => { bytes[at]! ^= 0x10; return bytes }, async () => {
    expect(await found()).toEqual([expect.objectContaining({ kind: 'object-changed', object }), ...await missingOf(object)])
  })
})

/** An object that is not what was written proves nothing of its requests. */
async function missingOf (object: string): Promise<unknown[]> {
  const findings = (await found()).filter(({ kind }) => kind === 'place-missing' || kind === 'place-doubled')
  expect(findings.length).toBeGreaterThan(0)
  expect(findings.every(one => one.object === undefined && one.detail.includes('http/test/'))).toBe(true)
  expect(object).toMatch(/^raw\//)
  return findings
}

test('an object that is gone is found, and which requests it takes with it', async () => {
  const [{ object }] = await neighbours()
  const path = pathOf(object)
  const bytes = await readFile(path)
  await rm(path)
  expect(await found()).toEqual([expect.objectContaining({ kind: 'object-missing', object }), ...await missingOf(object)])
  await writeFile(path, bytes, { mode: 0o400 })
})

test('two objects that changed places are both found, each with the other', async () => {
  const [one, other] = await neighbours()
  const [first, second] = [await readFile(pathOf(one.object)), await readFile(pathOf(other.object))]
  await withBytes(one.object, () => second, () => withBytes(other.object, () => first, async () => {
    const findings = (await found()).filter(({ kind }) => kind === 'object-swapped')
    expect(findings.map(({ object, detail }) => [object, detail]).sort()).toEqual([[one.object, `its bytes are those of ${other.object}`], [other.object, `its bytes are those of ${one.object}`]].sort())
  }))
})

test('an object that lost its end is found, and one that got longer', async () => {
  const [{ object, bytes: size }] = await neighbours()
  await withBytes(object, bytes => bytes.subarray(0, -1), async () => {
    expect((await found())[0]).toEqual({ kind: 'object-truncated', object, detail: `it has ${size - 1} of ${size} bytes` })
  })
  await withBytes(object, () => Buffer.alloc(0), async () => { expect((await found())[0]).toMatchObject({ kind: 'object-truncated', object }) })
  await withBytes(object, bytes => Buffer.concat([bytes, Buffer.of(0)]), async () => { expect((await found())[0]).toMatchObject({ kind: 'object-changed', object }) })
})

test('an object that nobody wrote is found', async () => {
  const object = 'raw/ff/ffffffffffffffffffffffffffffff'
  await system.objects.put(object, Buffer.from('x'))
  expect(await found()).toEqual([{ kind: 'object-unknown', object, detail: expect.stringContaining('does not know') }])
  await rm(pathOf(object), { force: true })
})

test('another key ring opens nothing, and makes no key in looking', async () => {
  const keyRing = await createLocalKeyRing({ file: join(system.folder, 'other-keys.json'), pool: otherKeys.pool, now: () => system.now })
  const objects = (await manifests()).map(({ object }) => object)
  const findings = await found({}, { keyRing })
  expect(findings.filter(({ kind }) => kind === 'key-missing').map(({ object }) => object)).toEqual(objects)
  expect((await otherKeys.pool.query('SELECT count(*)::int AS count FROM keys.wrapped_key')).rows).toEqual([{ count: 1 }])
})

test('a frame under a wrong key is told from one whose key was destroyed', async () => {
  const [{ object, readings }] = await neighbours()
  const keyRing = { unwrap: async (id: string, context: Parameters<typeof system.keyRing.unwrap>[1]) => context.object.startsWith('s1') ? Buffer.alloc(32, 1) : system.keyRing.unwrap(id, context) }
  expect((await found({}, { keyRing })).filter(one => one.object === object)).toContainEqual({ kind: 'wrong-key', object, detail: 'its bytes are unchanged, and its frame 0 does not open' })
  expect(readings).toBeGreaterThan(0)
})

/** An object made anew under its name, by somebody who holds the keys, with a row that fits its bytes; for as long as `check` runs. */
async function withMade (manifest: Manifest, change: (directory: Directory, frames: Buffer[]) => Promise<void> | void, check: () => Promise<void>): Promise<void> {
  const key = await loadDirectoryKey(system.keyRing)
  const { directory, frames } = await openObject(await readFile(pathOf(manifest.object)), manifest.object, key.key)
  const parts = directory.frames.map(({ at, length }) => frames.subarray(at, at + length))
  await change(directory, parts)
  let at = 0
  for (const [place, entry] of directory.frames.entries()) {
    Object.assign(entry, { at, length: parts[place]!.length })
    at += entry.length
  }
  const bytes = joinObject(await sealPart(key.key, directoryContext(manifest.object), encodeDirectory(directory)), parts)
  const text = manifestText({ ...manifest, bytes: bytes.length, sha256: sha256(bytes) })
  await withBytes(manifest.object, () => bytes, () => withRows([['UPDATE archive.object SET manifest = $1 WHERE name = $2', [text, manifest.object]]], check))
}

async function keyOfSid (sid: Sid) { return (await system.dataKeys.heldForSids([sid])).get(sid)!.key }

test('a frame that was moved to another object does not open there, whatever the manifest says', async () => {
  const [one, other] = await neighbours()
  const foreign = await openObject(await readFile(pathOf(other.object)), other.object, (await loadDirectoryKey(system.keyRing)).key)
  let place = -1
  await withMade(one, ({ frames }, parts) => {
    place = frames.findIndex(({ sid }) => foreign.directory.frames.some(frame => frame.sid === sid))
    const { at, length } = foreign.directory.frames.find(({ sid }) => sid === frames[place]!.sid)!
    parts[place] = foreign.frames.subarray(at, at + length)
  }, async () => {
    const findings = await found()
    expect(findings).toContainEqual({ kind: 'wrong-key', object: one.object, detail: `its bytes are unchanged, and its frame ${place} does not open` })
    expect(findings).toContainEqual(expect.objectContaining({ kind: 'manifest-changed', object: one.object }))
  })
})

test.each([
  ['a directory that says something else than its row', (directory: Directory) => { Object.assign(directory, { readings: directory.readings + 1 }) }, 'its directory says something else than its row'],
  ['a frame without one of its records', async ({ object, frames: [entry] }: Directory, parts: Buffer[]) => {
    const key = await keyOfSid(entry!.sid)
    const records = decodeFrame(await openPart(key, frameContext(object, 0), parts[0]!))
    parts[0] = await sealPart(key, frameContext(object, 0), encodeFrame(records.slice(1)))
  }, 'its frame 0 does not hold the records that its directory names'],
  ['a frame of something else', async ({ object, frames: [entry] }: Directory, parts: Buffer[]) => {
    parts[0] = await sealPart(await keyOfSid(entry!.sid), frameContext(object, 0), Buffer.from('something else'))
  }, 'its frame 0 opens, and is nothing that was written there'],
  ['a directory without one of its records', ({ frames: [entry] }: Directory) => { Object.assign(entry!, { parcels: entry!.parcels.slice(1) }) }, 'it does not hold each offset of its range once']
] as const)('%s is found, though every seal is right', async (_, change, detail) => {
  const [one] = await neighbours()
  await withMade(one, change, async () => { expect(await found()).toContainEqual({ kind: 'facts-differ', object: one.object, detail }) })
})

test('a directory that is sealed for another name does not open', async () => {
  const [{ object, ...manifest }] = await neighbours()
  const bytes = joinObject(seal((await loadDirectoryKey(system.keyRing)).key, directoryContext('raw/aa/bb'), Buffer.from('{}')), [])
  const text = manifestText({ object, ...manifest, bytes: bytes.length, sha256: sha256(bytes) })
  await withBytes(object, () => bytes, () => withRows([['UPDATE archive.object SET manifest = $1 WHERE name = $2', [text, object]]], async () => {
    expect(await found()).toContainEqual({ kind: 'wrong-key', object, detail: 'its bytes are unchanged, and its directory does not open' })
  }))
})

test.each([
  ['its counts', { readings: 7 }], ['its times', { receivedFrom: '2020-01-01T00:00:00.000Z' }], ['its digest', { sha256: '0'.repeat(64) }]
])('a row of the manifest in which somebody changed %s is found', async (_, change) => {
  const [manifest] = await neighbours()
  const text = manifestText({ ...manifest, ...change })
  await withRows([['UPDATE archive.object SET manifest = $1 WHERE name = $2', [text, manifest.object]]], async () => {
    expect(await found()).toContainEqual({ kind: 'manifest-changed', object: manifest.object, detail: expect.stringContaining('is not the one that the next one') })
  })
})

test('the last row of a partition is held by the partition, and columns by the manifest', async () => {
  const last = (await manifests()).at(-1)!
  const text = manifestText({ ...last, madeAt: '2020-01-01T00:00:00.000Z' })
  await withRows([['UPDATE archive.object SET manifest = $1 WHERE name = $2', [text, last.object]]], async () => {
    expect(await found()).toContainEqual({ kind: 'manifest-changed', object: last.object, detail: expect.stringContaining('ends with') })
  })
  await withRows([['UPDATE archive.object SET next_offset = next_offset + 1 WHERE name = $1', [last.object]]], async () => {
    expect(await found()).toContainEqual(expect.objectContaining({ kind: 'manifest-changed', object: last.object }))
  })
})

test('a row that was removed leaves a gap, and its object is nobody\'s', async () => {
  const [one, other] = await neighbours()
  for (const { object, partition, first, next } of [one, other]) {
    await withRows([['DELETE FROM archive.object WHERE name = $1', [object]]], async () => {
      const findings = await found()
      expect(findings).toContainEqual({ kind: 'range-gap', object: undefined, detail: `offsets ${first} to ${next - 1} of partition ${partition} stand in no object` })
      expect(findings).toContainEqual(expect.objectContaining({ kind: 'object-unknown', object }))
    })
  }
  const last = (await manifests()).at(-1)!
  await withRows([['DELETE FROM archive.object WHERE name = $1', [last.object]]], async () => {
    expect(await found()).toContainEqual(expect.objectContaining({ kind: 'range-gap', detail: `offsets ${last.first} to ${last.next - 1} of partition ${last.partition} stand in no object` }))
  })
})

test('all rows of a partition and its head made anew: the objects are nobody\'s, and the bus has more', async () => {
  const { partition, object } = (await manifests())[0]!
  await withRows([['DELETE FROM archive.object WHERE partition = $1', [partition]], ["UPDATE archive.partition SET next_offset = 0, head = decode(repeat('00', 32), 'hex') WHERE partition = $1", [partition]]], async () => {
    const report = await system.verify()
    expect(report.findings).toContainEqual(expect.objectContaining({ kind: 'object-unknown', object }))
    expect(report.underway.records).toBeGreaterThan(0)
  })
})

test('a range that is archived twice is found', async () => {
  const [one] = await neighbours()
  const text = manifestText({ ...one, object: 'raw/aa/bb', first: one.first + 1, next: one.next + 1 })
  const clash = [`INSERT INTO archive.object (partition, first_offset, next_offset, name, manifest, received_from, received_to) VALUES ($1, $2, $3, 'raw/aa/bb', $4, now(), now())`,
    [one.partition, one.next - 1 === one.first ? one.first - 1 : one.first + 1, one.next + 1, text]] as [string, unknown[]]
  await withRows([clash], async () => {
    const kinds = (await found()).map(({ kind }) => kind)
    expect(kinds).toContain('range-overlap')
  })
})

test('a bus that never had what is archived is younger than the archive', async () => {
  const findings = await found({}, { ends: async () => new Map([[0, 0], [1, 0], [2, 0], [3, 0]]) })
  expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['bus-younger']))
})

test('a topic that is gone, or whose prefix is a wrong one, is no archive that holds', async () => {
  const partitions = [...new Set((await manifests()).map(({ partition }) => partition))]
  const findings = await found({}, { ends: async () => new Map() })
  expect(findings.map(({ kind }) => kind)).toEqual(partitions.map(() => 'bus-younger'))
  for (const partition of partitions) expect(findings.some(({ detail }) => detail.includes(`partition ${partition} `))).toBe(true)
})

/** The topic has a record more than is archived, since before the proof began. */
async function oneMore (): Promise<ReadonlyMap<number, number>> {
  const { rows } = await owner().query<{ partition: number, next_offset: number }>('SELECT partition, next_offset FROM archive.partition ORDER BY next_offset DESC')
  return new Map(rows.map(({ partition, next_offset: next }, index) => [partition, Number(next) + (index === 0 ? 1 : 0)]))
}

const DAY_MS = 86_400_000

test('while something is under way only what is as new is not judged yet: what is older is missing', async () => {
  const ends = oneMore
  for (const [ageMs, isOld] of [[0, false], [20 * DAY_MS, true]] as const) {
    const time = new Date(system.now - ageMs)
    await withRows([["UPDATE quarantine.item SET state = 'released', sealed = NULL, fingerprint = NULL, settled_at = $1 WHERE source = 'http/test/3' AND place = 6", [time]]], async () => {
      const report = await system.verify({}, { ends })
      expect([report.ok, report.counts, report.requests!.unjudged]).toEqual(isOld ? [false, { 'release-missing': 1 }, 0] : [true, {}, 1])
      expect(report.underway.records).toBe(1)
    })
    await withRows([["DELETE FROM quarantine.item WHERE source = 'http/test/3' AND place = 6", []], ["UPDATE quarantine.item SET arrived_at = $1 WHERE source = 'http/test/3'", [time]],
      ['UPDATE quarantine.unbooked SET records = records + 1', []]], async () => {
      const report = await system.verify({}, { ends })
      expect([report.ok, report.counts, report.requests!.unjudged]).toEqual(isOld ? [false, { 'place-missing': 1 }, 0] : [true, {}, 1])
    })
    await owner().query('UPDATE quarantine.unbooked SET records = records - 1')
    // Of a repeat only the book has the time.
    await withRows([
      ["INSERT INTO quarantine.book (source, kind, state, request_records, places, noted_at) SELECT source, kind, 'repeated', 99, int4multirange(int4range(place, place + 1)), $1 FROM quarantine.item WHERE source = 'http/test/3' AND place = 6", [time]],
      ["DELETE FROM quarantine.item WHERE source = 'http/test/3'", []], ['UPDATE quarantine.unbooked SET records = records + 1', []]
    ], async () => {
      const report = await system.verify({}, { ends })
      expect([report.ok, report.counts, report.requests!.unjudged]).toEqual(isOld ? [false, { 'place-missing': 1 }, 0] : [true, {}, 1])
    })
    await owner().query('UPDATE quarantine.unbooked SET records = records - 1')
  }
})

test('items that went from quarantine are found, one by one and in sum', async () => {
  await withRows([['DELETE FROM quarantine.item WHERE number = (SELECT min(number) FROM quarantine.item)', []]], async () => {
    expect(await found()).toEqual([
      { kind: 'book-differs', object: undefined, detail: 'quarantine counted 24 arrivals and has 23' },
      { kind: 'place-missing', object: undefined, detail: expect.stringMatching(/^places \{\[\d+,\d+\)\} of request http\/test\/1 are neither archived nor in quarantine/) }
    ])
  })
  await withRows([["DELETE FROM quarantine.item WHERE source = 'http/test/2'", []]], async () => {
    // All of its items: as if it had not been acknowledged, but that there are fewer than were counted.
    const report = await system.verify()
    expect(report.findings.map(({ kind }) => kind)).toEqual(['book-differs'])
    expect(report.requests).toMatchObject({ complete: 11, unanswered: 1 })
  })
})

test('a place that is archived and in quarantine is doubled, one behind the end is beyond, a release without bytes is missing', async () => {
  await withRows([["UPDATE quarantine.item SET place = 0 WHERE source = 'http/test/3' AND place = 6", []]], async () => {
    expect(await found()).toEqual([expect.objectContaining({ kind: 'place-doubled', detail: expect.stringContaining('http/test/3') })])
  })
  await withRows([["UPDATE quarantine.item SET place = 14 WHERE source = 'http/test/3' AND place = 6", []]], async () => {
    expect(await found()).toEqual([expect.objectContaining({ kind: 'place-beyond', detail: expect.stringContaining('places {[14,15)} of request http/test/3') })])
  })
  await withRows([["UPDATE quarantine.item SET state = 'released', sealed = NULL, fingerprint = NULL, settled_at = now() WHERE source = 'http/test/3' AND place = 6", []]], async () => {
    expect(await found()).toEqual([expect.objectContaining({ kind: 'release-missing', detail: expect.stringContaining('places {[6,7)} of request http/test/3') })])
  })
})

test('what time moved into the book proves as much as the item did', async () => {
  await withRows([
    ["INSERT INTO quarantine.book SELECT source, kind, 'discarded', max(request_records), range_agg(int4range(place, place + 1)) FROM quarantine.item WHERE source = 'http/test/4' GROUP BY source, kind", []],
    ["DELETE FROM quarantine.item WHERE source = 'http/test/4'", []]
  ], async () => {
    const report = await system.verify()
    expect(report).toMatchObject({ ok: true, requests: { complete: 12 }, quarantine: { waiting: 22, discarded: 2 } })
  })
})

test('of a part of the time only its objects are read', async () => {
  const none = await system.verify({ to: system.now })
  expect(none).toMatchObject({ ok: true, objects: 0, requests: undefined })
  const all = await system.verify({ from: system.now })
  expect(all).toMatchObject({ ok: true, readings: { opened: 144 }, requests: undefined })
  const [{ object }] = await neighbours()
  await withBytes(object, bytes => bytes.subarray(1), async () => {
    expect((await found({ from: system.now })).map(({ kind }) => kind)).toEqual(['object-truncated'])
    expect(await found({ to: system.now })).toEqual([])
  })
})

test('no finding holds a sid or a device', async () => {
  const kept = await Promise.all((await manifests()).map(async ({ object }) => ({ object, bytes: await readFile(pathOf(object)) })))
  for (const { object } of kept) await rm(pathOf(object))
  const text = JSON.stringify(await system.verify())
  for (const { object, bytes } of kept) await writeFile(pathOf(object), bytes, { mode: 0o400 })
  expect(text).toContain('object-missing')
  for (const { sid, deviceId } of worn) expect([text.includes(sid), text.includes(deviceId)]).toEqual([false, false])
})

test('what a destroyed key sealed is erased and no finding; everything else opens, and its places are still proved', async () => {
  const { sid } = worn[0]!
  await system.keyRing.destroy((await system.keyRing.dek('archive', OF_SID(sid))).id, 'test')
  system.dataKeys.forget(sid)
  expect(await system.verify()).toMatchObject({ ok: true, readings: { opened: 120, erased: 24 }, requests: { complete: 12 } })
})

test('what is under way is waited for, and judged then', async () => {
  let looks = 0
  await system.post([worn[1]!.deviceId, 'nobody'], 14)
  const report = await system.verify({}, { pause: async () => {
    if (looks++ > 0) return
    const writer = await system.start()
    await system.archived()
    await writer.stop()
  } })
  expect([report.ok, report.underway.records, report.requests!.unjudged, report.requests!.complete]).toEqual([true, 0, 0, 13])
  expect(looks).toBe(1)
})
