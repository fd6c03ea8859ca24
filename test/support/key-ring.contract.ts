/** What every key ring promises (privacy.md §6); run against each implementation. */

import { createHmac, createPublicKey, randomBytes, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import type { KekName, KeyContext, KeyRing } from '../../src/platform/keys/key-ring.ts'
import { macKeyContext } from '../../src/platform/keys/key-ring.ts'

export interface KeyRingUnderTest {
  ring: KeyRing
  /** Another process's ring over the same keys, opened now. */
  openAnother (): Promise<KeyRing>
  /** Number of a new version of the kek; rings opened from now on know it. */
  addKekVersion (kek: KekName): Promise<number>
  /** The wrapped form as it is kept. */
  wrappedForm (id: string): Promise<Uint8Array | undefined>
}

const context = (): KeyContext => ({ store: 'archive', object: randomBytes(8).toString('hex'), purpose: 'raw' })
const failing = (code: string) => expect.objectContaining({ name: 'ServiceError', code })

export function keyRingContract (underTest: () => KeyRingUnderTest): void {
  test('a new data key has 32 bytes and unwraps to itself, in every process', async () => {
    const { ring, openAnother } = underTest()
    const bound = context()
    const { id, key } = await ring.newDek('archive', bound)
    expect(key.length).toBe(32)
    expect(Buffer.from(await ring.unwrap(id, bound)).equals(key)).toBe(true)
    expect(Buffer.from(await (await openAnother()).unwrap(id, bound)).equals(key)).toBe(true)
  })

  test('the wrapped form does not hold the key', async () => {
    const { ring, wrappedForm } = underTest()
    const { id, key } = await ring.newDek('archive', context())
    expect(Buffer.from((await wrappedForm(id))!).includes(Buffer.from(key))).toBe(false)
  })

  test('two new data keys of one context differ', async () => {
    const { ring } = underTest()
    const bound = context()
    const [one, other] = [await ring.newDek('archive', bound), await ring.newDek('archive', bound)]
    expect(one.id).not.toBe(other.id)
    expect(Buffer.from(one.key).equals(other.key)).toBe(false)
  })

  test('a data key does not unwrap under another context', async () => {
    const { ring } = underTest()
    const bound = context()
    const { id } = await ring.newDek('archive', bound)
    for (const other of [{ ...bound, store: 'series' }, { ...bound, object: 'x' }, { ...bound, purpose: 'derived' }]) {
      await expect(ring.unwrap(id, other)).rejects.toEqual(failing('KEY_CONTEXT'))
    }
  })

  test('an unknown id is told apart from a destroyed one', async () => {
    const { ring } = underTest()
    for (const id of ['00000000-0000-4000-8000-000000000000', 'no id']) {
      await expect(ring.unwrap(id, context())).rejects.toEqual(failing('KEY_UNKNOWN'))
      await expect(ring.destroy(id, 'test')).rejects.toEqual(failing('KEY_UNKNOWN'))
      await expect(ring.rewrap(id, 1)).rejects.toEqual(failing('KEY_UNKNOWN'))
    }
  })

  test('the data key of a context is the same at every call and in every process', async () => {
    const { ring, openAnother } = underTest()
    const bound = context()
    const first = await ring.dek('archive', bound)
    expect(await ring.dek('archive', { ...bound })).toEqual(first)
    expect(await (await openAnother()).dek('archive', bound)).toEqual(first)
    expect(Buffer.from(await ring.unwrap(first.id, bound)).equals(first.key)).toBe(true)
  })

  test('another kek or context has another data key', async () => {
    const { ring } = underTest()
    const bound = context()
    const ids = [await ring.dek('archive', bound), await ring.dek('quarantine', bound), await ring.dek('archive', { ...bound, purpose: 'derived' }), await ring.newDek('archive', bound)]
    expect(new Set(ids.map(({ id }) => id)).size).toBe(4)
    expect(new Set(ids.map(({ key }) => Buffer.from(key).toString('hex'))).size).toBe(4)
  })

  test('processes that ask at the same time for overlapping contexts get the same keys', async () => {
    const { ring, openAnother } = underTest()
    const rings = [ring, await openAnother(), await openAnother()]
    const contexts = Array.from({ length: 200 }, context)
    const shifted = rings.map((_, index) => [...contexts.slice(index * 50), ...contexts.slice(0, index * 50)])
    const answers = await Promise.all(rings.map((each, index) => each.deks('archive', shifted[index]!)))
    const keysOf = (index: number) => new Map(shifted[index]!.map((bound, place) => [bound.object, answers[index]![place]]))
    expect(keysOf(1)).toEqual(keysOf(0))
    expect(keysOf(2)).toEqual(keysOf(0))
  })

  test('many are answered in order, repeated contexts and destroyed keys included', async () => {
    const { ring } = underTest()
    const [one, gone, other] = [context(), context(), context()]
    await ring.destroy((await ring.dek('archive', gone)).id, 'test')
    const answer = await ring.deks('archive', [one, gone, other, one])
    expect(answer[1]).toBeUndefined()
    expect(answer[3]).toEqual(answer[0])
    expect(answer[2]).toEqual(await ring.dek('archive', other))
    expect(await ring.deks('archive', [])).toEqual([])
  })

  test('wrapping the same key twice gives different bytes', async () => {
    const { ring } = underTest()
    const bound = context()
    const key = randomBytes(32)
    expect(Buffer.from(await ring.wrap('archive', key, bound)).equals(await ring.wrap('archive', key, bound))).toBe(false)
  })

  test('wrapping again under a newer version keeps the key and changes its wrapped form', async () => {
    const { ring, openAnother, addKekVersion, wrappedForm } = underTest()
    const bound = context()
    const { id, key } = await ring.newDek('archive', bound)
    const before = await wrappedForm(id)
    const version = await addKekVersion('archive')
    const later = await openAnother()
    await later.rewrap(id, version)
    expect(await wrappedForm(id)).not.toEqual(before)
    expect(Buffer.from(await later.unwrap(id, bound)).equals(key)).toBe(true)
    await expect(later.unwrap(id, { ...bound, object: 'x' })).rejects.toEqual(failing('KEY_CONTEXT'))
  })

  test('a destroyed key is gone for every process, and its wrapped form with it', async () => {
    const { ring, openAnother, wrappedForm } = underTest()
    const bound = context()
    const { id } = await ring.dek('archive', bound)
    const another = await openAnother()
    const receipt = await ring.destroy(id, 'erasure')
    expect(receipt.id).toBe(id)
    expect(Date.parse(receipt.horizon)).toBeGreaterThan(Date.parse(receipt.destroyedAt))
    for (const each of [ring, another, await openAnother()]) {
      await expect(each.unwrap(id, bound)).rejects.toEqual(failing('KEY_DESTROYED'))
      await expect(each.dek('archive', bound)).rejects.toEqual(failing('KEY_DESTROYED'))
      await expect(each.rewrap(id, 1)).rejects.toEqual(failing('KEY_DESTROYED'))
    }
    expect(await wrappedForm(id)).toBeUndefined()
  })

  test('destroying again answers as the first time', async () => {
    const { ring } = underTest()
    const { id } = await ring.newDek('archive', context())
    const receipt = await ring.destroy(id, 'erasure')
    expect(await ring.destroy(id, 'again')).toEqual(receipt)
  })

  test('a code is the HMAC-SHA-256 of the data under the key of that version', async () => {
    const { ring, openAnother } = underTest()
    const data = Buffer.from('LUM-000123')
    const code = await ring.mac('link', 1, data)
    const { key } = await ring.dek('linkage', macKeyContext('link', 1))
    expect(Buffer.from(code).equals(createHmac('sha256', key).update(data).digest())).toBe(true)
    expect(await (await openAnother()).mac('link', 1, data)).toEqual(code)
    expect(await ring.mac('link', 2, data)).not.toEqual(code)
  })

  test('a signature verifies under the raw public key of its name alone', async () => {
    const { ring, openAnother } = underTest()
    const data = Buffer.from('checkpoint')
    const signature = await ring.sign('log-sign', data)
    const verifies = async (name: 'log-sign' | 'export-sign') => {
      const x = Buffer.from(await (await openAnother()).publicKey(name)).toString('base64url')
      return verify(null, data, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), signature)
    }
    expect(signature.length).toBe(64)
    expect(await verifies('log-sign')).toBe(true)
    expect(await verifies('export-sign')).toBe(false)
  })
}
