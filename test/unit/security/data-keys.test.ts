import { createHash, KeyObject } from 'node:crypto'
import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import { contextText, type KeyContext, type KeyRing } from '../../../src/platform/keys/key-ring.ts'
import { arrivalDay, createDataKeys } from '../../../src/security/data-keys.ts'
import { drawSid } from '../../../src/security/sid.ts'

const failing = (code: string) => expect.objectContaining({ name: 'ServiceError', code })

/** A ring whose keys follow from their contexts; counts its rounds. */
function fakeRing () {
  const rounds: string[][] = []
  const destroyed = new Set<string>()
  const keyOf = (kek: string, context: KeyContext) => createHash('sha256').update(kek + contextText(context)).digest()
  const ring = {
    deks: async (kek: string, contexts: readonly KeyContext[]) => {
      rounds.push(contexts.map(({ object }) => object))
      return contexts.map(context => destroyed.has(context.object) ? undefined : { id: context.object, key: keyOf(kek, context) })
    }
  }
  return { ring: ring as unknown as KeyRing, rounds, destroyed }
}

function underTest (options: { sizeMax?: number, ttlMs?: number } = {}) {
  const clock = { time: 0 }
  const fake = fakeRing()
  return { ...fake, clock, keys: createDataKeys({ keyRing: fake.ring, now: () => epochMs(clock.time), ...options }) }
}

test('a key at hand is given at once, and is the same key', async () => {
  const { keys, rounds } = underTest()
  const sid = drawSid()
  const first = await keys.forSid(sid)
  const again = keys.forSid(sid)
  expect(again).toBeInstanceOf(KeyObject)
  expect((again as KeyObject).equals(first)).toBe(true)
  expect(rounds).toEqual([[sid]])
})

test('a thousand sids are warmed in one round, each once', async () => {
  const { keys, rounds } = underTest()
  const sids = Array.from({ length: 1_000 }, () => drawSid())
  await keys.forSid(sids[0]!)
  await keys.warm([...sids, ...sids])
  expect(rounds).toEqual([[sids[0]], sids.slice(1)])
  for (const sid of sids) expect(keys.forSid(sid)).toBeInstanceOf(KeyObject)
  expect(keys.warm(sids)).toBeUndefined()
})

test('callers at the same time share a round', async () => {
  const { keys, rounds } = underTest()
  const [one, other] = [drawSid(), drawSid()]
  await Promise.all([keys.forSid(one), keys.warm([one, other]), keys.forSid(other), keys.forSid(one)])
  expect(rounds).toEqual([[one], [other]])
})

test('keys are held for many sids in one round, with the ids by which the ring finds them, and a destroyed one as none', async () => {
  const { keys, rounds, destroyed } = underTest()
  const [known, fresh, gone] = [drawSid(), drawSid(), drawSid()]
  const ofKnown = await keys.forSid(known)
  destroyed.add(gone)
  const held = await keys.heldForSids([known, fresh, gone])
  expect([...held.keys()]).toEqual([known, fresh, gone])
  expect(held.get(known)!.key.equals(ofKnown)).toBe(true)
  expect([held.get(known)!.id, held.get(fresh)!.id, held.get(gone)]).toEqual([known, fresh, undefined])
  expect(rounds).toEqual([[known], [fresh, gone]])
  expect((await keys.forSid(fresh)).equals(held.get(fresh)!.key)).toBe(true)
})

test('sid and day have different keys', async () => {
  const { keys } = underTest()
  const [ofSid, ofDay] = [await keys.forSid(drawSid()), await keys.forDay('2026-02-03')]
  expect(ofSid.equals(ofDay)).toBe(false)
  expect(keys.forDay('2026-02-03')).toBeInstanceOf(KeyObject)
})

test('a destroyed key is refused after the time to live, and passed over when warming', async () => {
  const { keys, destroyed, clock } = underTest({ ttlMs: 1_000 })
  const [gone, kept] = [drawSid(), drawSid()]
  await keys.warm([gone, kept])
  destroyed.add(gone)
  clock.time = 999
  expect(keys.forSid(gone)).toBeInstanceOf(KeyObject)
  clock.time = 1_000
  await keys.warm([gone, kept])
  expect(keys.forSid(kept)).toBeInstanceOf(KeyObject)
  await expect(keys.forSid(gone)).rejects.toEqual(failing('KEY_DESTROYED'))
})

test('a forgotten key is asked for again, also when it was on its way', async () => {
  const { keys, destroyed } = underTest()
  const [atHand, coming] = [drawSid(), drawSid()]
  await keys.forSid(atHand)
  const late = keys.forSid(coming)
  keys.forget(atHand, coming)
  await late
  destroyed.add(atHand)
  destroyed.add(coming)
  await expect(keys.forSid(atHand)).rejects.toEqual(failing('KEY_DESTROYED'))
  await expect(keys.forSid(coming)).rejects.toEqual(failing('KEY_DESTROYED'))
})

test('a failed round is not kept', async () => {
  const { ring, keys } = underTest()
  const sid = drawSid()
  const { deks } = ring
  ring.deks = async () => { throw new Error('database away') }
  await expect(keys.forSid(sid)).rejects.toThrow('database away')
  ring.deks = deks
  expect(await keys.forSid(sid)).toBeInstanceOf(KeyObject)
})

test('no more keys than the limit are held', async () => {
  const { keys } = underTest({ sizeMax: 10 })
  const sids = Array.from({ length: 20 }, () => drawSid())
  await keys.warm(sids)
  expect(sids.filter(sid => keys.forSid(sid) instanceof KeyObject)).toEqual(sids.slice(10))
})

test('the arrival day is the UTC day', () => {
  expect(arrivalDay(epochMs(Date.UTC(2026, 1, 3, 23, 59, 59, 999)))).toBe('2026-02-03')
  expect(arrivalDay(epochMs(Date.UTC(2026, 1, 4)))).toBe('2026-02-04')
})
