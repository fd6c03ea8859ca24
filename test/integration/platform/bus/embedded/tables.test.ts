import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import { appendRows, declareTopic, removeReleased, saveReleased } from '../../../../../src/platform/bus/embedded/tables.ts'
import { type TestDatabase, testDatabase } from '../../../../support/postgres.ts'

let database: TestDatabase

beforeAll(async () => { database = await testDatabase('bus') })
afterAll(() => database?.drop())

test('removing what is released looks at each row a few times, however many there are', async () => {
  const [partitions, rowCount] = [4, 300]
  const { topicId } = await declareTopic(database.pool, { topic: 'test.a.v1', partitions })
  const row = (partition: number) => ({ topicId, partition, recordCount: 1, bytes: Buffer.from('x') })
  for (let n = 0; n < rowCount; n++) await appendRows(database.pool, Array.from({ length: partitions }, (_, partition) => row(partition)), epochMs(1_000), 'test')
  await saveReleased(database.pool, Array.from({ length: partitions }, (_, partition) => ({ topicId, partition, offset: rowCount - 1 })))
  const client = await database.pool.connect()
  try {
    await client.query('BEGIN')
    await removeReleased(client, topicId, epochMs(2_000))
    const { rows: [seen] } = await client.query<{ visits: number }>(
      "SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS visits FROM pg_stat_xact_user_tables WHERE schemaname = 'bus' AND relname = 'batch'")
    expect(seen!.visits).toBeLessThan(5 * partitions * rowCount)
    await client.query('COMMIT')
  } finally {
    client.release()
  }
  const { rows } = await database.owner.query('SELECT partition, first_offset::int AS first FROM bus.batch ORDER BY partition')
  expect(rows).toEqual(Array.from({ length: partitions }, (_, partition) => ({ partition, first: rowCount - 1 })))
})
