/** What every object store promises; run against each implementation. */

import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { OBJECT_BYTES_MAX, type ObjectEntry, type ObjectStore } from '../../src/platform/objects/object-store.ts'

export interface ObjectStoreUnderTest {
  store: ObjectStore
  /** Another process's store over the same objects, opened now. */
  openAnother (): Promise<ObjectStore>
}

const failing = (code: string) => expect.objectContaining({ name: 'ServiceError', code })
/** Tests of one store do not meet: each has a folder of its own. */
const own = () => `test-${randomBytes(8).toString('hex')}`

export async function all (entries: AsyncIterable<ObjectEntry>): Promise<ObjectEntry[]> {
  const found: ObjectEntry[] = []
  for await (const entry of entries) found.push(entry)
  return found
}

export function objectStoreContract (underTest: () => ObjectStoreUnderTest): void {
  test.each([0, 1, 70_000, 9_000_000])('%i bytes come back as they were put, in every process', async length => {
    const { store, openAnother } = underTest()
    const name = `${own()}/a.bin`
    const bytes = randomBytes(length)
    await store.put(name, bytes)
    expect((await store.get(name)).equals(bytes)).toBe(true)
    expect((await (await openAnother()).get(name)).equals(bytes)).toBe(true)
  })

  test('what is got is a copy', async () => {
    const { store } = underTest()
    const name = `${own()}/a`
    await store.put(name, Buffer.from('as it came'))
    ;(await store.get(name)).fill(0)
    expect((await store.get(name)).toString()).toBe('as it came')
  })

  test('a taken name is refused and the old bytes stay', async () => {
    const { store, openAnother } = underTest()
    const name = `${own()}/a`
    await store.put(name, Buffer.from('first'))
    await expect(store.put(name, Buffer.from('second'))).rejects.toEqual(failing('OBJECT_EXISTS'))
    await expect((await openAnother()).put(name, Buffer.from('first'))).rejects.toEqual(failing('OBJECT_EXISTS'))
    expect((await store.get(name)).toString()).toBe('first')
  })

  test('of many puts at once one wins, whole', async () => {
    const { store, openAnother } = underTest()
    const name = `${own()}/deep/er/a`
    const stores = [store, await openAnother()]
    const drafts = Array.from({ length: 12 }, (_, index) => Buffer.alloc(50_000, index))
    const results = await Promise.allSettled(drafts.map((draft, index) => stores[index % 2]!.put(name, draft)))
    const won = results.flatMap(({ status }, index) => status === 'fulfilled' ? [index] : [])
    expect(won.length).toBe(1)
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toEqual(failing('OBJECT_EXISTS'))
    expect((await store.get(name)).equals(drafts[won[0]!]!)).toBe(true)
  })

  test('a name that nothing stands under is missing, a folder of objects too', async () => {
    const { store } = underTest()
    const folder = own()
    await store.put(`${folder}/a/b`, Buffer.from('x'))
    for (const name of [`${folder}/b`, `${folder}/a`, `${folder}/a/b/c`, own()]) await expect(store.get(name)).rejects.toEqual(failing('OBJECT_MISSING'))
  })

  test('a list is ascending by bytes, with sizes, and holds what lies below the prefix only', async () => {
    const { store } = underTest()
    const folder = own()
    const names = ['a', 'a-b', 'a.b', 'a0', 'b/a', 'b/a-b/c', 'b/a0/c', 'b-c/a', 'b.c', 'b0/a', 'c_d', 'z/z/z/z'].map(name => `${folder}/${name}`)
    for (const name of names.toReversed()) await store.put(name, Buffer.from(name))
    await store.put(`${folder}x/a`, Buffer.from('another folder'))
    const expected = (below: string) => names.filter(name => name.startsWith(below)).sort().map(name => ({ name, bytes: name.length }))
    expect(await all(store.list(`${folder}/`))).toEqual(expected(`${folder}/`))
    expect(await all(store.list(`${folder}/b/`))).toEqual(expected(`${folder}/b/`))
    expect(await all(store.list(`${own()}/`))).toEqual([])
    expect((await all(store.list(''))).filter(({ name }) => name.startsWith(`${folder}/`))).toEqual(expected(`${folder}/`))
  })

  test('a list of more objects than a page has each once', async () => {
    const { store } = underTest()
    const folder = own()
    const names = Array.from({ length: 1_203 }, (_, index) => `${folder}/${index.toString().padStart(5, '0')}`)
    for (let from = 0; from < names.length; from += 50) await Promise.all(names.slice(from, from + 50).map(name => store.put(name, Buffer.from('x'))))
    expect((await all(store.list(`${folder}/`))).map(({ name }) => name)).toEqual(names)
  })

  test('what is removed is gone and its name is free again; removing it again is no error', async () => {
    const { store } = underTest()
    const name = `${own()}/a`
    await store.put(name, Buffer.from('first'))
    await store.remove(name)
    await expect(store.get(name)).rejects.toEqual(failing('OBJECT_MISSING'))
    await store.remove(name)
    await store.put(name, Buffer.from('second'))
    expect((await store.get(name)).toString()).toBe('second')
  })

  test('what lies below raw/ is removed by nobody', async () => {
    const { store, openAnother } = underTest()
    const name = `raw/${own()}/a`
    await store.put(name, Buffer.from('kept'))
    await expect(store.remove(name)).rejects.toEqual(failing('OBJECT_KEPT'))
    await expect((await openAnother()).remove(name)).rejects.toEqual(failing('OBJECT_KEPT'))
    expect((await store.get(name)).toString()).toBe('kept')
  })

  const outside = [
    '', '/', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/./b', '.a', 'a/.b', 'A', 'ä', 'a b', 'a\\b', 'a\0b', 'a\n', '-a', `${'a/'.repeat(9)}a`, 'a'.repeat(128),
    Array.from({ length: 5 }, () => 'a'.repeat(127)).join('/')
  ]
  test.each(outside.map(name => ({ name })))('$name is no name', async ({ name }) => {
    const { store } = underTest()
    await expect(store.put(name, Buffer.from('x'))).rejects.toEqual(failing('OBJECT_NAME'))
    await expect(store.get(name)).rejects.toEqual(failing('OBJECT_NAME'))
    await expect(store.remove(name)).rejects.toEqual(failing('OBJECT_NAME'))
  })

  test('a prefix is whole parts', async () => {
    const { store } = underTest()
    for (const prefix of ['a', '/', '../', 'a//', '.drafts/']) await expect((async () => await all(store.list(prefix)))()).rejects.toEqual(failing('OBJECT_NAME'))
  })

  test('an object over the limit is refused and leaves nothing', async () => {
    const { store } = underTest()
    const name = `${own()}/a`
    await expect(store.put(name, Buffer.alloc(OBJECT_BYTES_MAX + 1))).rejects.toEqual(failing('OBJECT_TOO_LARGE'))
    await expect(store.get(name)).rejects.toEqual(failing('OBJECT_MISSING'))
  })
}
