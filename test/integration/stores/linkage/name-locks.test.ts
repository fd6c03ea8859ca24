import { afterAll, beforeAll, expect, test } from 'vitest'
import { transaction } from '../../../../src/platform/postgres/pool.ts'
import { createNameLocks, NAMES_MAX, type NameLocks } from '../../../../src/stores/linkage/name-locks.ts'
import { isLockWaited, type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

const one = (locks: NameLocks) => locks.lock(['one'])
const two = (locks: NameLocks) => locks.lock(['two'])
const many = (locks: NameLocks) => locks.lock(Array.from({ length: NAMES_MAX + 1 }, (_, n) => `many ${n}`))
const all = (locks: NameLocks) => locks.lockAll()
const oneThenMany = async (locks: NameLocks) => {
  await one(locks)
  await many(locks)
}

test.each([
  ['the same name', one, one], ['a name and many', one, many], ['many and a name', many, one], ['many and many', many, many],
  ['a name and all', one, all], ['all and a name', all, one]
])('%s wait for each other', async (_, first, second) => {
  const order: string[] = []
  let other: Promise<void> | undefined
  await transaction(database.pool, async client => {
    await first(createNameLocks(client))
    other = transaction(database.pool, async client => {
      await second(createNameLocks(client))
      order.push('second')
    })
    while (!(await isLockWaited(client))) { /* until it asks */ }
    order.push('first')
  })
  await other
  expect(order).toEqual(['first', 'second'])
})

test('other names do not wait', async () => {
  await transaction(database.pool, async client => {
    await oneThenMany(createNameLocks(client))
    await transaction(database.pool, async client => { await two(createNameLocks(client)) })
  })
})

test('more names than PostgreSQL has room for are locked, by several at once', async () => {
  const names = Array.from({ length: 50_000 }, (_, n) => `name ${n}`)
  await Promise.all([1, 2, 3, 4].map(() => transaction(database.pool, client => createNameLocks(client).lock(names))))
})
