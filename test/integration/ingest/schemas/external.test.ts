import avro from 'avsc'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { TISSUE_OXYGEN_V1 } from '../../../../src/ingest/decode/fixed-schemas.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { createExternalView } from '../../../../src/ingest/schemas/external-view.ts'
import { createRegistry } from '../../../../src/ingest/schemas/registry.ts'
import { registryRoutes } from '../../../../src/ingest/schemas/registry.routes.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type ExternalRegistry, startExternalRegistry } from '../../../support/external-registry.ts'
import { MODELS } from '../../../support/ingest-door.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { framed, framedV1, sentV1, TAKEN_AT, V1_TYPE } from '../../../support/telemetry.ts'

let system: IngestSystem
let external: ExternalRegistry
let ingest: Ingest

beforeAll(async () => {
  [system, external] = await Promise.all([ingestSystem(), startExternalRegistry()])
  system.registered.add('device-1')
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest = await open()
  await ingest.releaser.start()
})
beforeEach(() => {
  external.fault = undefined
  external.isOld = false
  external.asked.length = 0
  // Past what is remembered of a schema that was not there.
  system.now = (system.now + 10_000) as typeof system.now
})
afterAll(async () => {
  await system?.close()
  await external?.close()
})

function open (url = external.url): Promise<Ingest> { return system.open({ externalRegistry: { url, authorization: 'Basic dTpw', timeoutMs: 1_000 } }) }

const PO2 = { name: 'po2', type: 'double', 'oxbow.metric': 'tissue-po2', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }
const schemaOf = (name: string, ...fields: object[]) => ({ type: 'record', name, fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, ...fields] })
function bodyOf (id: number, schema: object, at: number): Buffer {
  return framed(id, [avro.Type.forSchema(schema as avro.Schema).toBuffer({ deviceId: 'device-1', timestamp_utc: TAKEN_AT + at, po2: 33, other: 1 })])
}
const post = async (bytes: Buffer, door = ingest) => {
  const { body } = await door.accept({ bytes, contentType: 'application/avro', contentEncoding: '' })
  return body.accepted > 0 ? 'accepted' : body.rejected.map(({ reason }) => reason).join()
}
const detailOf = async (bytes: Buffer) => (await ingest.accept({ bytes, contentType: 'application/avro', contentEncoding: '' })).body.rejected[0]!.detail

test('a schema is asked for once, and is known from then on: in this process, in the next, and without the registry', async () => {
  const schema = schemaOf('Kept', PO2)
  external.entries.set(1, { schema: JSON.stringify(schema, null, 2), versions: [{ subject: 'Kept-value', version: 1 }] })
  expect(await post(bodyOf(1, schema, 1))).toBe('accepted')
  expect(external.asked).toEqual(['/base/schemas/ids/1', '/base/schemas/ids/1/versions?deleted=true'])
  expect(external.authorizations).toEqual(new Set(['Basic dTpw']))
  expect(await post(bodyOf(1, schema, 2))).toBe('accepted')
  external.fault = 503
  expect(await post(bodyOf(1, schema, 3), await open())).toBe('accepted')
  expect(external.asked).toHaveLength(2)
  const ids = new Set((await system.batches()).map(({ schemaId }) => schemaId))
  expect([...ids].every(id => id > 100)).toBe(true)
})

test('ids are those of the registry: 1 and 2 of the product are not meant, and the same schema is the same', async () => {
  expect(await post(framedV1([sentV1()]))).not.toBe('accepted')
  external.entries.set(77, { schema: JSON.stringify(TISSUE_OXYGEN_V1), versions: [{ subject: 'old', version: 1 }] })
  expect(await post(framed(77, [V1_TYPE.toBuffer(sentV1({ timestamp_utc: TAKEN_AT + 500 }))]))).toBe('accepted')
  expect((await system.batches()).some(({ schemaId }) => schemaId === 1)).toBe(true)
})

test.each([[503], [500], [401], [0]])('a registry that answers %i and was never asked before: its readings wait, with an alarm, until it answers', async fault => {
  const id = 200 + fault
  const schema = schemaOf(`Down${fault}`, PO2)
  const body = bodyOf(id, schema, id)
  external.fault = fault
  system.raised.length = 0
  expect(await post(body)).toBe('schema-unavailable')
  expect(system.raised).toEqual(['schema-registry-failed', 'schema-refused'])
  const asked = external.asked.length
  expect(await post(body)).toBe('schema-unavailable')
  expect(external.asked.length).toBe(asked)
  external.fault = undefined
  external.entries.set(id, { schema: JSON.stringify(schema), versions: [{ subject: `down-${fault}`, version: 1 }] })
  system.now = (system.now + 10_000) as typeof system.now
  const items = await ingest.review.list({ reasons: ['schema-unavailable'], states: ['held'], limit: 10 })
  expect(items.map(({ timesSeen }) => timesSeen)).toEqual([2])
  expect(await ingest.review.resubmit(items.map(({ id: item }) => item))).toEqual({ resubmitted: 1, remaining: [] })
})

test('an id that the registry does not have is unknown, and asked for again soon', async () => {
  const schema = schemaOf('Later', PO2)
  expect(await post(bodyOf(300, schema, 20))).toBe('schema-unknown')
  external.entries.set(300, { schema: JSON.stringify(schema) })
  system.now = (system.now + 10_000) as typeof system.now
  external.isOld = true
  expect(await post(bodyOf(300, schema, 20))).toBe('accepted')
})

test('a version that would break a mapping is not activated, whatever the registry thinks of it', async () => {
  const [first, broken, more] = [schemaOf('Belt', PO2), schemaOf('Belt', { name: 'po2', type: 'double', 'oxbow.ignore': true }, { name: 'spo2', type: 'double', default: 0 }), schemaOf('Belt', PO2, { name: 'other', type: 'int', 'oxbow.ignore': true })]
  external.entries.set(401, { schema: JSON.stringify(first), versions: [{ subject: 'belt', version: 1 }] })
  external.entries.set(402, { schema: JSON.stringify(broken), versions: [{ subject: 'belt', version: 2 }] })
  external.entries.set(403, { schema: JSON.stringify(more), versions: [{ subject: 'belt', version: 3 }] })
  expect(await post(bodyOf(401, first, 30))).toBe('accepted')
  const wrong = framed(402, [Buffer.from('x')])
  expect(await post(wrong)).toBe('schema-incompatible')
  expect(await detailOf(wrong)).toContain('channel tissue-po2 (tissue-po2, mm[Hg]) would no longer be delivered')
  expect(await post(bodyOf(403, more, 31))).toBe('accepted')
  const view = createExternalView({ pool: system.pool, models: MODELS, registry: external.url })
  expect((await view.all()).filter(({ subject }) => subject === 'belt').map(({ version }) => version)).toEqual([1, 3])
  expect(await view.problems('belt', { type: 'AVRO', text: JSON.stringify(broken) })).toEqual([expect.stringContaining('would no longer be delivered')])
  expect(await view.problems('belt', { type: 'AVRO', text: JSON.stringify(more) })).toEqual([])
  await expect(view.register('belt', { type: 'AVRO', text: JSON.stringify(more) })).rejects.toThrow('register there')
})

test('a version that breaks a mapping is not activated either where the registry does not say of which subject it is', async () => {
  const [first, broken, other] = [schemaOf('Strap', PO2), schemaOf('Strap', { name: 'po2', type: 'double', 'oxbow.ignore': true }, { name: 'spo2', type: 'double', default: 0 }), schemaOf('Cuff', { name: 'spo2', type: 'double' })]
  external.entries.set(411, { schema: JSON.stringify(first), versions: [{ subject: 'strap', version: 1 }] })
  external.entries.set(412, { schema: JSON.stringify(broken), versions: [] })
  external.entries.set(413, { schema: JSON.stringify(other), versions: [] })
  expect(await post(bodyOf(411, first, 60))).toBe('accepted')
  const wrong = framed(412, [Buffer.from('x')])
  expect(await post(wrong)).toBe('schema-incompatible')
  expect(await detailOf(wrong)).toContain('would no longer be delivered')
  // Of another name it is another thing.
  expect(await post(framed(413, [Buffer.from('x')]))).toBe('malformed')
})

test.each([
  ['no record', { schema: '"string"' }, 'the schema is no record'],
  ['fields that say nothing', { schema: JSON.stringify(schemaOf('Mute', { name: 'x', type: 'int' })) }, 'field x is no field of ours'],
  ['references', { schema: JSON.stringify(schemaOf('Refers', PO2)), references: [{ name: 'a', subject: 'b', version: 1 }] }, 'it refers to other schemas'],
  ['a type that is none of ours', { schema: '<xs:schema/>', schemaType: 'XSD' }, 'its type is none of ours']
])('a schema with %s is incompatible', async (what, entry, detail) => {
  const id = 500 + what.length
  external.entries.set(id, entry)
  const bytes = framed(id, [Buffer.from('x')])
  expect(await post(bytes)).toBe('schema-incompatible')
  expect(await detailOf(bytes)).toContain(detail)
})

test('our own registry over HTTP is such a registry', async () => {
  const other: TestDatabase = await testDatabase('bus')
  const app: FastifyInstance = fastify()
  try {
    const registry = createRegistry({ pool: other.poolOf('oxbow_ingest'), models: MODELS, events: { schema: () => {} } })
    await app.register(registryRoutes(registry))
    const address = await app.listen({ host: '127.0.0.1', port: 0 })
    const schema = schemaOf('Shared', PO2)
    const { id } = await registry.register('Shared', { type: 'AVRO', text: JSON.stringify(schema) })
    const door = await open(`${address}/schema-registry`)
    expect(await post(bodyOf(id, schema, 40), door)).toBe('accepted')
    expect(await post(framed(2, [Buffer.from('x')]), door)).toBe('malformed')
  } finally {
    await app.close()
    await other.drop()
  }
})
