import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeRawFrame, type RawHead } from '../../../../src/ingest/raw-frame.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { rawContext } from '../../../../src/security/data-keys.ts'
import { seal } from '../../../../src/security/envelope.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import type { RawRecord } from '../../../../src/stores/archive/foreign-records.ts'
import { makeObject, manifestOf } from '../../../../src/stores/archive/make-object.ts'
import { manifestText, NO_DIGEST, sha256 } from '../../../../src/stores/archive/manifest.ts'
import { frameContext, openPart, sealPart, splitObject } from '../../../../src/stores/archive/object-bytes.ts'
import { openFrame, openObject } from '../../../../src/stores/archive/open-object.ts'

const SIDS = Array.from({ length: 4 }, drawSid)
/** The last one was destroyed. */
const GONE = SIDS[3]!
const KEYS = new Map(SIDS.map(sid => [sid, { id: `id of ${sid}`, key: createSecretKey(randomBytes(32)), madeAt: epochMs(0) }]))
const DIRECTORY = { id: 'directory', key: createSecretKey(randomBytes(32)) }
const KEYS_AT_HAND = { directory: DIRECTORY, ofSids: async (sids: readonly Sid[]) => new Map(sids.map(sid => [sid, sid === GONE ? undefined : KEYS.get(sid)])), knownSids: async () => new Set(SIDS) }
const NOW = epochMs(Date.UTC(2026, 1, 3))
const OBJECT = 'raw/00/aa'

interface Sent { sid: Sid, head: RawHead, originals: Buffer[] }

const sent: fc.Arbitrary<Sent> = fc.record({
  sid: fc.constantFrom(...SIDS),
  head: fc.record({
    content: fc.constantFrom('json' as const, 'avro' as const), schemaId: fc.constantFrom(1, 2), receivedAt: fc.integer({ min: 0, max: 4e12 }).map(epochMs), way: fc.constantFrom('arrived' as const, 'released' as const),
    number: fc.nat({ max: 5 }), first: fc.nat({ max: 50 })
  }),
  originals: fc.array(fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)), { minLength: 1, maxLength: 6 })
}).map(({ sid, head: { number, first, ...head }, originals }) => ({
  sid, originals, head: { ...head, origins: [{ inlet: 'http/a', number, records: 100 }], runs: [{ origin: 0, first, count: originals.length }] }
}))

function recordsOf (all: readonly Sent[], first: number): RawRecord[] {
  return all.map(({ sid, head, originals }, index) => ({
    offset: first + index, key: sid,
    value: encodeRawFrame(head, originals.map(source => ({ source, start: 0, end: source.length })), clear => seal(KEYS.get(sid)!.key, rawContext(sid), clear))
  }))
}

const placeOf = (first: number, count: number) => ({ object: OBJECT, partition: 2, first, next: first + count, previous: NO_DIGEST, oxbow: 'test' })
const make = (all: readonly Sent[], first = 7) => makeObject(placeOf(first, all.length), recordsOf(all, first), KEYS_AT_HAND, NOW)

test('what goes into an object comes out of it, by sid and in order; what its key no longer opens is counted', async () => {
  await fc.assert(fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 20 }), fc.nat(), async (all, first) => {
    const { bytes, manifest } = await make(all, first)
    const opened = await openObject(bytes, OBJECT, DIRECTORY.key)
    const { directory } = opened
    const there = all.map((one, index) => ({ ...one, offset: first + index })).filter(({ sid }) => sid !== GONE)
    const records = (await Promise.all(directory.frames.map(async entry => (await openFrame(opened, entry, KEYS.get(entry.sid)!.key)).map(record => ({ sid: entry.sid, ...record }))))).flat()
    expect(records.sort((a, b) => a.offset - b.offset).map(({ sid, offset, frame, originals }) => ({ sid, offset, lengths: frame.lengths, receivedAt: frame.receivedAt, runs: frame.runs, originals })))
      .toEqual(there.map(({ sid, offset, head, originals }) => ({ sid, offset, lengths: originals.map(({ length }) => length), receivedAt: head.receivedAt, runs: head.runs, originals: Buffer.concat(originals) })))
    expect(new Set(directory.frames.map(({ sid }) => sid)).size).toBe(directory.frames.length)
    const lost = all.filter(({ sid }) => sid === GONE)
    const readings = (some: readonly { originals: Buffer[] }[]) => some.reduce((sum, { originals }) => sum + originals.length, 0)
    expect(manifest).toMatchObject({ readings: readings(there), erased: { records: lost.length, readings: readings(lost) }, bytes: bytes.length, sha256: sha256(bytes), key: 'directory' })
    expect(manifest.sources.reduce((sum, source) => sum + source.readings, 0)).toBe(readings(all))
    expect(manifest.schemas.reduce((sum, schema) => sum + schema.readings, 0)).toBe(readings(there))
    // The object alone says what its row says.
    expect(manifestText(manifestOf(directory, 'directory', bytes))).toBe(manifestText(manifest))
  }), { numRuns: 60 })
})

test('no flipped bit is read, wherever it is', async () => {
  const all = fc.sample(sent, { numRuns: 12, seed: 5 })
  const { bytes } = await make(all)
  const read = async (changed: Buffer): Promise<void> => {
    const opened = await openObject(changed, OBJECT, DIRECTORY.key)
    for (const entry of opened.directory.frames) await openFrame(opened, entry, KEYS.get(entry.sid)!.key)
  }
  await read(bytes)
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1 << (at % 8)
    await expect(read(changed), `byte ${at}`).rejects.toThrowError(expect.objectContaining({ category: 'fault' }))
  }
  for (const length of [0, 5, 18, 19, 40, bytes.length - 1]) await expect(read(bytes.subarray(0, length))).rejects.toThrowError(expect.objectContaining({ category: 'fault' }))
  await expect(read(Buffer.concat([bytes, Buffer.of(0)]))).rejects.toThrowError(expect.objectContaining({ category: 'fault' }))
})

test('under another name, another place or another key nothing opens', async () => {
  const all = SIDS.slice(0, 3).map((sid): Sent => ({ sid, head: { content: 'json', schemaId: 1, receivedAt: NOW, way: 'arrived', origins: [], runs: [] }, originals: [Buffer.from('{}')] }))
  const { bytes } = await make(all)
  const sealed = expect.objectContaining({ code: 'KEY_CONTEXT' })
  await expect(openObject(bytes, 'raw/00/ab', DIRECTORY.key)).rejects.toThrowError(sealed)
  await expect(openObject(bytes, OBJECT, KEYS.get(SIDS[0]!)!.key)).rejects.toThrowError(sealed)
  const opened = await openObject(bytes, OBJECT, DIRECTORY.key)
  const [first, second] = opened.directory.frames
  await expect(openFrame(opened, first!, KEYS.get(second!.sid)!.key)).rejects.toThrowError(sealed)
  const { frames } = splitObject(bytes)
  const moved = frames.subarray(first!.at, first!.at + first!.length)
  await expect(openPart(KEYS.get(first!.sid)!.key, frameContext(OBJECT, 1), moved)).rejects.toThrowError(sealed)
  await expect(openPart(KEYS.get(first!.sid)!.key, frameContext('raw/00/ab', 0), moved)).rejects.toThrowError(sealed)
})

test('neither sid, inlet nor times stand in clear', async () => {
  const { bytes } = await make(fc.sample(sent, 10))
  for (const word of [...SIDS, 'http/a', 'receivedFrom', 'partition']) expect(bytes.includes(word), word).toBe(false)
})

test('what compresses is compressed, what does not is kept as it is', async () => {
  const context = frameContext(OBJECT, 0)
  for (const [clear, isSmaller] of [[Buffer.alloc(10_000, 'a'), true], [randomBytes(10_000), false], [Buffer.alloc(100, 'a'), false], [Buffer.alloc(0), false]] as const) {
    const part = await sealPart(DIRECTORY.key, context, clear)
    expect(part.length < clear.length).toBe(isSmaller)
    expect((await openPart(DIRECTORY.key, context, part)).equals(clear)).toBe(true)
  }
})
