import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSchemaVerb } from '../../../src/cli/schema.ts'
import { runVerb } from '../../../src/cli/run-verb.ts'
import type { CliContext } from '../../../src/cli/verb.ts'
import { TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2 } from '../../../src/ingest/decode/fixed-schemas.ts'
import { createRegistry } from '../../../src/ingest/schemas/registry.ts'
import { epochMs } from '../../../src/model/units.ts'
import { MODELS } from '../../support/ingest-door.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let database: TestDatabase
const folder = temporaryFolder('schema-verb')

beforeAll(async () => { database = await testDatabase('bus') })
afterAll(async () => {
  await database?.drop()
  rmSync(folder, { recursive: true, force: true })
})

/** Settings under which `check` asks the database: no cluster of this machine's own is looked for. */
const EXTERNAL = { OXBOW_POSTGRES_KIND: 'external' }

function scene (env: Record<string, string> = EXTERNAL) {
  const out: string[] = []
  const context = { env, stdout: text => { out.push(text) }, stderr: () => {}, now: () => epochMs(0), signal: new AbortController().signal } satisfies CliContext
  const verb = createSchemaVerb(async () => ({ registry: createRegistry({ pool: database.poolOf('oxbow_ingest'), models: MODELS, events: { schema: () => {} } }), close: async () => {} }))
  return { out, run: async (...args: string[]) => ({ code: await verb.run(args, context), text: out.splice(0).join('') }) }
}

function fileOf (name: string, content: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const PO2 = { name: 'po2', type: 'double', 'oxbow.metric': 'tissue-po2', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }
const schemaOf = (...fields: object[]) => ({ type: 'record', name: 'Patch', fields: [{ name: 'serial', type: 'string', 'oxbow.field': 'deviceId' }, { name: 'timestamp_utc', type: 'long' }, ...fields] })

test('check says what is delivered, register makes it active, list shows it', async () => {
  const { run } = scene()
  const file = fileOf('patch.avsc', schemaOf(PO2))
  expect(await run('check', file, '--subject', 'Patch')).toEqual({ code: 0, text: 'delivers deviceId, timestamp_utc, tissue-po2 (tissue-po2, mm[Hg])\nit may be registered\n' })
  const registered = await run('register', file, '--subject', 'Patch')
  expect(registered).toEqual({ code: 0, text: expect.stringMatching(/^registered: Patch version 1, id \d+\n$/) })
  expect((await run('list')).text).toMatch(/^Patch {9}version 1 {2}id \d+ {2}AVRO\nTissueOxygen {2}version 1 {2}id 1 {2}AVRO\nTissueOxygen {2}version 2 {2}id 2 {2}AVRO\n$/)
  expect(JSON.parse((await run('list', '--json')).text)).toEqual([expect.objectContaining({ subject: 'Patch' }), { subject: 'TissueOxygen', version: 1, id: 1, type: 'AVRO' }, { subject: 'TissueOxygen', version: 2, id: 2, type: 'AVRO' }])
})

test('what would break a mapping in use is not registered, and both say why', async () => {
  const { run } = scene()
  const file = fileOf('broken.txt', schemaOf({ name: 'po2', type: 'double', 'oxbow.ignore': true }, { name: 'spo2', type: ['null', 'double'], default: null }))
  const why = 'channel tissue-po2 (tissue-po2, mm[Hg]) would no longer be delivered; Example Sensors Inc./TO2-READER-2 has it mapped'
  expect(await run('check', file, '--type', 'AVRO', '--subject', 'Patch')).toEqual({ code: 1, text: `delivers deviceId, timestamp_utc, spo2\nrefused:\n  ${why}\n` })
  expect(await run('register', file, '--type', 'AVRO', '--subject', 'Patch')).toEqual({ code: 1, text: `refused:\n  ${why}\n` })
  expect(await run('check', file, '--type', 'AVRO')).toMatchObject({ code: 0 })
  const unreadable = fileOf('unreadable.avsc', schemaOf({ name: 'rssi', type: 'int' }))
  const { code, text } = await run('check', unreadable, '--json')
  expect([code, JSON.parse(text)]).toMatchObject([1, { ok: false, delivers: [], problems: [expect.stringContaining('field rssi is no field of ours'), expect.stringContaining('no field is measured')] }])
  expect((await run('register', unreadable, '--subject', 'X', '--json')).code).toBe(1)
})

test('before the first start, check knows the schemas of the product', async () => {
  const env = { OXBOW_DATA_DIR: join(folder, 'none') }
  const { run } = scene(env)
  expect((await run('check', fileOf('v2.avsc', { ...TISSUE_OXYGEN_V2, doc: 'again' }), '--subject', 'TissueOxygen')).code).toBe(0)
  const { code, text } = await run('check', fileOf('v1.avsc', { ...TISSUE_OXYGEN_V1, doc: 'again' }), '--subject', 'TissueOxygen')
  expect([code, text]).toEqual([1, expect.stringContaining('it cannot read data of version 2')])
})

test.each([
  [['check'], 'FILE is missing'], [['check', 'none.avsc'], 'FILE cannot be read'], [['check', 'x.txt'], '--type must be one of'], [['register', 'x.avsc'], 'register takes --subject'],
  [['list', 'x'], 'list takes no file'], [['look'], 'the things to do are'], [[], 'the things to do are'], [['check', 'a.avsc', 'b.avsc'], 'one file at a time']
])('%j is wrong use', async (words, message) => {
  const err: string[] = []
  const code = await runVerb(['schema', ...words], { env: {}, stdout: () => {}, stderr: text => { err.push(text) }, now: () => epochMs(0), signal: new AbortController().signal })
  expect([code, err.join('')]).toEqual([2, expect.stringContaining(message)])
})
