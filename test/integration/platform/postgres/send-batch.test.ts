import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createCopyBuffer } from '../../../../src/platform/postgres/copy.ts'
import { withClient } from '../../../../src/platform/postgres/pool.ts'
import { type BatchPart, sendBatch } from '../../../../src/platform/postgres/send-batch.ts'
import { emptyDatabase, type TestDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await emptyDatabase('series')
  await database.owner.query('create table one (n int primary key); create table two (n int)')
})
beforeEach(async () => { await database.owner.query('truncate one, two') })
afterAll(async () => { await database.drop() })

const send = (parts: readonly BatchPart[]) => withClient(database.owner, client => sendBatch(client, parts))
const numbers = async (table: string) => (await database.owner.query(`select n from ${table} order by n`)).rows.map(({ n }) => n)

function copyOf (table: string, values: readonly number[]): BatchPart {
  const copy = createCopyBuffer()
  for (const value of values) {
    copy.row(1)
    copy.int4(value)
  }
  return { copy: `copy ${table} from stdin (format binary)`, bytes: copy.bytes() }
}

test('several COPYs and statements run in order as one', async () => {
  await send(['insert into two values (1)', copyOf('one', [1, 2]), 'insert into two select n * 10 from one', copyOf('two', []), copyOf('two', [7])])
  expect([await numbers('one'), await numbers('two')]).toEqual([[1, 2], [1, 7, 10, 20]])
})

test('data of any size goes through', async () => {
  const many = Array.from({ length: 200_000 }, (_, n) => n)
  await send([copyOf('one', many), copyOf('two', many)])
  expect([(await numbers('one')).length, (await numbers('two')).length]).toEqual([200_000, 200_000])
})

test('whatever part fails, nothing is done, and the connection goes on', async () => {
  const many = Array.from({ length: 50_000 }, (_, n) => n)
  const failing: BatchPart[][] = [
    [copyOf('one', [1]), 'select 1 / 0', copyOf('two', many)],
    [copyOf('one', [...many, 5]), copyOf('two', many), 'insert into two values (1)'],
    [copyOf('two', [1]), copyOf('nowhere', many), copyOf('two', many)],
    ['selec', copyOf('two', many)],
    [copyOf('two', [1]), { copy: 'copy two from stdin (format binary)', bytes: Buffer.from('no copy data') }, copyOf('one', [1])]
  ]
  await withClient(database.owner, async client => {
    for (const parts of failing) {
      await expect(sendBatch(client, parts)).rejects.toMatchObject({ code: expect.stringMatching(/^\w{5}$/) })
      expect((await client.query('select 42 as answer')).rows).toEqual([{ answer: 42 }])
      await sendBatch(client, [copyOf('one', []), 'select 1'])
    }
  })
  expect([await numbers('one'), await numbers('two')]).toEqual([[], []])
})

test('a connection that ends in the middle rejects', async () => {
  const gone = withClient(database.owner, client => sendBatch(client, [copyOf('one', [1]), 'select pg_terminate_backend(pg_backend_pid())', copyOf('two', [1])]))
  await expect(gone).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(await numbers('one')).toEqual([])
})
