import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clearSettled, selectExpired, selectHeads } from '../../../../src/ingest/quarantine/quarantine-rows.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { migrate, readMigrations } from '../../../../src/platform/postgres/migrate.ts'
import { STORES } from '../../../../src/platform/postgres/stores.ts'
import { emptyDatabase, type TestDatabase } from '../../../support/postgres.ts'

const ARRIVED = Date.UTC(2026, 0, 1)
let database: TestDatabase

/** A database of versions before, with an item of each kind that the migration touches. */
beforeAll(async () => {
  database = await emptyDatabase('bus')
  const client = new Client({ connectionString: database.ownerUrl })
  await client.connect()
  const all = await readMigrations(STORES.bus.migrations)
  const before = (number: string) => all.filter(({ room, name }) => room !== 'stores/archive' && (room !== 'ingest/quarantine' || name < number))
  await migrate(client, before('0003'))
  for (const [state, note] of [['held', null], ['discarded', 'expired'], ['discarded', 'sender was broken'], ['released', null]]) {
    await client.query(`INSERT INTO quarantine.item (id, kind, state, reason, schema_id, content, encoding, source, place, index_version, device_index, event_time, sequence, arrived_at,
        sealed, sealed_length, rule_version, settled_at, note)
      VALUES (gen_random_uuid(), 'record', $1, 'time-future', 1, 'json', '', 'http/old/1', 0, 1, $2, 5, 0, $3, $4, 30, 1, $5, $6)`,
    [state, Buffer.alloc(32, 1), new Date(ARRIVED), state === 'held' ? Buffer.alloc(30) : null, state === 'held' ? null : new Date(ARRIVED + 1), note])
  }
  await migrate(client, before('0006'))
  await client.query(`INSERT INTO quarantine.repeat (source, places, seen_at) VALUES ('http/old/2', '{[0,2),[5,6)}', now())`)
  await migrate(client, all)
  await client.end()
})
afterAll(() => database?.drop())

test('items of the version before go on: seen once, discards by whom it is known', async () => {
  const pool = database.poolOf('oxbow_ingest')
  const heads = await selectHeads(pool, { limit: 10 })
  expect(heads.map(({ state, timesSeen, lastSeenAt, settledBy, note }) => [state, timesSeen, lastSeenAt, settledBy, note])).toEqual([
    ['held', 1, ARRIVED, undefined, undefined], ['discarded', 1, ARRIVED, 'oxbow', 'expired'], ['discarded', 1, ARRIVED, 'not recorded', 'sender was broken'],
    ['released', 1, ARRIVED, undefined, undefined]
  ])
  expect(await selectExpired(pool, { held: epochMs(ARRIVED), waiting: epochMs(ARRIVED) }, 10)).toEqual([])
  expect(await selectExpired(pool, { held: epochMs(ARRIVED + 1), waiting: epochMs(ARRIVED) }, 10)).toEqual([heads[0]!.id])
  await clearSettled(pool, epochMs(ARRIVED + 2))
  expect((await selectHeads(pool, { limit: 10 })).map(({ state, eventTime }) => [state, eventTime])).toEqual([['held', 5], ['discarded', undefined], ['discarded', undefined]])
})

test('places of repeats are in the book', async () => {
  const { rows } = await database.poolOf('oxbow_ingest').query("SELECT source, kind, state, request_records, places FROM quarantine.book WHERE state = 'repeated'")
  expect(rows).toEqual([{ source: 'http/old/2', kind: 'record', state: 'repeated', request_records: null, places: '{[0,2),[5,6)}' }])
})
