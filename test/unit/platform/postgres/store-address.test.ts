import { expect, test } from 'vitest'
import { addressOf, assertApart, sharings } from '../../../../src/platform/postgres/store-address.ts'

const address = (store: string, role: string, database: string, host = 'db') => ({ store, role, database, host, port: 5432 })

test('a connection string is address, database and role, without its password', () => {
  const found = addressOf('series', 'postgres://oxbow%5Fseries:s3cret@db.example:6543/oxbow_series?sslmode=require')
  expect(found).toEqual({ store: 'series', host: 'db.example', port: 6543, database: 'oxbow_series', role: 'oxbow_series' })
  expect(addressOf('series', 'postgresql://a:b@db/c').port).toBe(5432)
})

test.each(['', 'db.example', 'http://a:b@db/c', 'postgres://db/c', 'postgres://a:b@db', 'postgres://a:b@db/'])('%j is refused, and not repeated', url => {
  expect(() => addressOf('series', url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('a:b') }))
})

test('stores with a database and a role each are apart', () => {
  assertApart([address('linkage', 'l', 'linkage'), address('series', 's', 'series'), address('series', 's_ro', 'series')])
})

test('stores that share a database or a role are named, each pair once', () => {
  expect(sharings([address('linkage', 'l', 'linkage'), address('series', 's', 'series')])).toEqual([])
  const [linkage, login, owner] = [address('linkage', 'l', 'oxbow'), address('series', 's', 'oxbow'), address('series', 's_owner', 'oxbow')]
  expect(sharings([linkage, login, owner])).toEqual([{ stores: ['linkage', 'series'], what: 'database', name: 'oxbow' }])
  expect(sharings([address('linkage', 'one', 'a'), address('series', 'one', 'b', 'other')])).toEqual([{ stores: ['linkage', 'series'], what: 'role', name: 'one' }])
  expect(sharings([login, owner])).toEqual([])
})

test('databases of one name on two hosts are apart', () => {
  assertApart([address('linkage', 'l', 'oxbow', 'one'), address('series', 's', 'oxbow', 'two')])
})

test('two stores in one database, or with one role, are refused by name', () => {
  expect(() => { assertApart([address('linkage', 'l', 'oxbow'), address('series', 's', 'oxbow')]) })
    .toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('stores linkage and series share a database') }))
  expect(() => { assertApart([address('linkage', 'admin', 'a', 'one'), address('keys', 'admin', 'b', 'two')]) })
    .toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('stores linkage and keys share a role') }))
})
