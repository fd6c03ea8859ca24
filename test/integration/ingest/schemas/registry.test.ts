import avro from 'avsc'
import protobuf from 'protobufjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fingerprint } from '../../../../src/ingest/decode/canonical-form.ts'
import { SCHEMAS } from '../../../../src/ingest/decode/fixed-schemas.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { createRegistry, type Registry, VERSIONS_MAX } from '../../../../src/ingest/schemas/registry.ts'
import { digestOf } from '../../../../src/ingest/schemas/registry-rows.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { MODELS } from '../../../support/ingest-door.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { container, framed, TAKEN_AT } from '../../../support/telemetry.ts'

let system: IngestSystem
let ingest: Ingest
let registry: Registry

beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add('patch-1')
  system.worn.push({ deviceId: 'patch-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest = await system.open()
  await ingest.releaser.start()
  registry = ingest.registry!
})
afterAll(() => system?.close())

const PO2 = { name: 'po2', type: 'double', 'oxbow.metric': 'tissue-po2', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }
const OTHER = { name: 'deep', type: ['null', 'double'], default: null, 'oxbow.metric': 'deep', 'oxbow.kind': 'tissue-sto2', 'oxbow.unit': '%' }
function schemaOf (name: string, ...fields: object[]) {
  return { type: 'record', name, fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, ...fields] }
}
const given = (schema: object) => ({ type: 'AVRO' as const, text: JSON.stringify(schema, null, 2) })
const post = (bytes: Buffer, schemaId?: number) => ingest.accept({ bytes, contentType: 'application/avro', contentEncoding: '', schemaId })

function record (schema: object, at: number, po2: number): Buffer {
  return avro.Type.forSchema(schema as avro.Schema, { wrapUnions: true }).toBuffer({ deviceId: 'patch-1', timestamp_utc: TAKEN_AT + at, po2 })
}

test('the schemas of the product are versions 1 and 2 of TissueOxygen from the first start', async () => {
  expect(await registry.subjects()).toEqual(['TissueOxygen'])
  for (const { id, version, schema } of SCHEMAS) {
    expect(await registry.version('TissueOxygen', version)).toEqual({ subject: 'TissueOxygen', version, id, type: 'AVRO', text: JSON.stringify(schema) })
    const { rows } = await system.pool.query<{ digest: Buffer, form: string }>('SELECT digest, form FROM registry.schema WHERE id = $1', [id])
    expect(rows).toEqual([{ digest: digestOf({ type: 'AVRO', text: JSON.stringify(schema) }), form: fingerprint(schema) }])
  }
  expect(await registry.mode('')).toBe('BACKWARD')
})

test('readings in a schema that is not registered are kept with an alarm, and flow once it is registered and they are re-submitted', async () => {
  const schema = schemaOf('Late', PO2)
  const asContainer = await container(schema, [{ deviceId: 'patch-1', timestamp_utc: TAKEN_AT + 2, po2: 30 }])
  const before = (await registry.register('Before', given(schemaOf('Before', PO2)))).id
  const next = before + 1
  const answers = [await post(framed(next, [record(schema, 1, 31), record(schema, 3, 32)])), await post(asContainer), await post(record(schema, 4, 33), next)]
  for (const { status, body } of answers) {
    expect(status).toBe(400)
    expect(body).toMatchObject({ received: 1, accepted: 0, quarantined: 1, rejected: [{ index: 0, reason: 'schema-unknown' }] })
    expect(body.rejected[0]!.detail).toMatch(/is not registered; .*register the schema, then re-submit/)
  }
  expect(system.raised.filter(alarm => alarm === 'schema-refused')).toHaveLength(3)
  const ids = (await ingest.review.list({ reasons: ['schema-unknown'], limit: 10 })).map(({ id }) => id)
  expect(await ingest.review.resubmit(ids)).toEqual({ resubmitted: 0, remaining: ids.map(id => ({ id, reason: 'schema-unknown' })) })
  expect(await registry.register('Late', given(schema))).toMatchObject({ id: next, version: 1 })
  expect(await ingest.review.resubmit(ids)).toEqual({ resubmitted: 3, remaining: [] })
  const mine = (await system.batches()).filter(({ schemaId }) => schemaId === next)
  expect(mine.flatMap(({ readings }) => readings).map(({ takenAt, values }) => [takenAt - TAKEN_AT, values]).sort()).toEqual([
    [1, [31]], [2, [30]], [3, [32]], [4, [33]]
  ])
})

test('a record of a registered schema that waits is read in its schema again when it is released', async () => {
  const schema = schemaOf('Waits', PO2)
  const { id } = await registry.register('Waits', given(schema))
  const type = avro.Type.forSchema(schema as avro.Schema)
  const { body } = await post(framed(id, [type.toBuffer({ deviceId: 'patch-2', timestamp_utc: TAKEN_AT + 50, po2: 21 })]))
  expect(body.rejected).toMatchObject([{ reason: 'device-unknown' }])
  const [head] = await ingest.review.list({ deviceId: 'patch-2', limit: 1 })
  expect(head).toMatchObject({ schemaId: id, content: 'avro' })
  expect((await ingest.review.show(head!.id))!.record).toMatchObject({ deviceId: 'patch-2', channels: [{ metric: 'tissue-po2', value: 21 }] })
  system.registered.add('patch-2')
  system.worn.push({ deviceId: 'patch-2', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest.releaser.associationRecorded(['patch-2'])
  await ingest.releaser.settled()
  expect((await ingest.review.show(head!.id))!.head.state).toBe('released')
})

const STRAP = `syntax = "proto3"; message Strap { string device_id = 1; int64 timestamp_utc = 2;
  optional double po2 = 3 [(oxbow) = "metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]"]; optional double spo2 = 4; }`
const STRAP_TYPE = protobuf.parse(STRAP, new protobuf.Root(), { keepCase: true }).root.lookupType('Strap')
const strap = (po2: number, spo2: number, at: number, device = 'patch-1') => STRAP_TYPE.create({ device_id: device, timestamp_utc: TAKEN_AT + at, po2, spo2 })

test('Protobuf goes the same way: kept while unknown, one message or many, read again when it is released, a bad field apart', async () => {
  const probe = await registry.register('Probe', given(schemaOf('Probe', PO2)))
  const id = probe.id + 1
  const head = framed(id, [Buffer.from([0])])
  const one = Buffer.concat([head, STRAP_TYPE.encode(strap(41, Number.NaN, 100)).finish()])
  const many = Buffer.concat([head, ...[101, 102].map(at => STRAP_TYPE.encodeDelimited(strap(42, 98, at)).finish()), STRAP_TYPE.encodeDelimited(strap(43, 98, 103, 'strap-2')).finish()])
  const send = (bytes: Buffer, contentType: string) => ingest.accept({ bytes, contentType, contentEncoding: '' })
  for (const [bytes, type] of [[one, 'application/x-protobuf'], [many, 'application/x-protobuf; encoding=delimited']] as const) {
    expect((await send(bytes, type)).body.rejected.map(({ reason }) => reason)).toEqual(['schema-unknown'])
  }
  expect(await registry.register('Strap', { type: 'PROTOBUF', text: STRAP })).toMatchObject({ id })
  const ids = (await ingest.review.list({ reasons: ['schema-unknown'], states: ['held'], limit: 10 })).map(head => head.id)
  expect(await ingest.review.resubmit(ids)).toEqual({ resubmitted: 2, remaining: [] })
  const mine = (await system.batches()).filter(({ schemaId }) => schemaId === id)
  expect(mine.flatMap(({ readings }) => readings).map(({ takenAt, values }) => [takenAt - TAKEN_AT, values]).sort()).toEqual([[100, [41]], [101, [42, 98]], [102, [42, 98]]])
  const [field] = await ingest.review.list({ reasons: ['not-a-number'], limit: 1 })
  expect(field).toMatchObject({ kind: 'field', field: 'spo2', content: 'protobuf', schemaId: id })
  const [waiting] = await ingest.review.list({ deviceId: 'strap-2', limit: 1 })
  expect(waiting).toMatchObject({ reason: 'device-unknown', content: 'protobuf', schemaId: id })
  system.registered.add('strap-2')
  system.worn.push({ deviceId: 'strap-2', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest.releaser.associationRecorded(['strap-2'])
  await ingest.releaser.settled()
  expect((await ingest.review.show(waiting!.id))!.head.state).toBe('released')
})

test('JSON in a registered schema goes the same way: the id in a header or a frame, kept while unknown, read again when it is released', async () => {
  const schema = JSON.stringify({ type: 'object', additionalProperties: false, required: ['serial', 'timestamp_utc'], properties: {
    serial: { type: 'string', 'x-oxbow-field': 'deviceId' }, timestamp_utc: { type: 'integer' }, po2: { type: 'number', 'x-oxbow-metric': 'tissue-po2', 'x-oxbow-kind': 'tissue-po2', 'x-oxbow-unit': 'mm[Hg]' }
  } })
  const record = (at: number, serial = 'patch-1') => ({ serial, timestamp_utc: TAKEN_AT + at, po2: 51 })
  const id = (await registry.register('Before JSON', given(schemaOf('BeforeJson', PO2)))).id + 1
  const send = (bytes: Buffer, contentType: string, schemaId?: number) => ingest.accept({ bytes, contentType, contentEncoding: '', schemaId })
  const bodies = [
    await send(Buffer.from(JSON.stringify([record(200), record(201)])), 'application/json', id),
    await send(Buffer.from(`${JSON.stringify(record(202))}\n${JSON.stringify(record(203, 'ring-2'))}\n`), 'application/x-ndjson', id),
    await send(framed(id, [Buffer.from(JSON.stringify(record(204)))]), 'application/json')
  ]
  expect(bodies.map(({ body }) => body.rejected.map(({ reason }) => reason))).toEqual([['schema-unknown'], ['schema-unknown'], ['schema-unknown']])
  expect(await registry.register('Ring', { type: 'JSON', text: schema })).toMatchObject({ id })
  const ids = (await ingest.review.list({ reasons: ['schema-unknown'], states: ['held'], limit: 10 })).map(head => head.id)
  expect(await ingest.review.resubmit(ids)).toEqual({ resubmitted: 3, remaining: [] })
  const mine = (await system.batches()).filter(({ schemaId }) => schemaId === id)
  expect(mine.flatMap(({ readings }) => readings).map(({ takenAt, values }) => [takenAt - TAKEN_AT, values]).sort()).toEqual([[200, [51]], [201, [51]], [202, [51]], [204, [51]]])
  const [waiting] = await ingest.review.list({ deviceId: 'ring-2', limit: 1 })
  expect(waiting).toMatchObject({ reason: 'device-unknown', content: 'json', schemaId: id })
  system.registered.add('ring-2')
  system.worn.push({ deviceId: 'ring-2', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest.releaser.associationRecorded(['ring-2'])
  await ingest.releaser.settled()
  expect((await ingest.review.show(waiting!.id))!.head.state).toBe('released')
})

test('the same schema has one id: in its subject, in another, and whatever white space it has', async () => {
  const schema = schemaOf('Same', PO2)
  const first = await registry.register('Same', given(schema))
  expect(await registry.register('Same', { type: 'AVRO', text: JSON.stringify(schema) })).toEqual(first)
  expect(await registry.register('Same too', given(schema))).toMatchObject({ id: first.id, version: 1 })
  expect(await registry.subjectsOf(first.id)).toEqual([{ subject: 'Same', version: 1 }, { subject: 'Same too', version: 1 }])
  expect(await registry.find('Same', given(schema))).toMatchObject({ version: 1 })
  await expect(registry.find('Same', given(schemaOf('Same', PO2, OTHER)))).rejects.toMatchObject({ registryCode: 40403 })
})

test('many that register at once get one version each, and the same schema one', async () => {
  const schemas = Array.from({ length: 6 }, (_, count) => given(schemaOf('Crowd', PO2, ...Array.from({ length: count }, (_, place) => ({ ...OTHER, name: `f${place}`, 'oxbow.metric': `f${place}` })))))
  const versions = await Promise.all([...schemas, ...schemas].map(schema => registry.register('Crowd', schema)))
  expect(new Set(versions.map(({ version }) => version)).size).toBe(6)
  expect(new Set(versions.map(({ id }) => id)).size).toBe(6)
  expect(await registry.versions('Crowd')).toEqual([1, 2, 3, 4, 5, 6])
})

test('what would break a mapping or a reader is refused with every reason, and nothing is registered', async () => {
  await registry.register('Strict', given(schemaOf('Strict', PO2, { name: 'sequence', type: 'int' })))
  const next = given(schemaOf('Strict', { ...PO2, 'oxbow.metric': 'elsewhere' }, { name: 'x', type: 'int', 'oxbow.ignore': true }))
  const refused = expect.objectContaining({ registryCode: 409, code: 'SCHEMA_REFUSED', reasons: [
    expect.stringMatching(/^it cannot read data of version 1: /), 'sequence would no longer be delivered', expect.stringMatching(/^channel tissue-po2 \(tissue-po2, mm\[Hg\]\) would no longer be delivered; /)
  ] })
  await expect(registry.register('Strict', next)).rejects.toEqual(refused)
  expect(await registry.problems('Strict', next)).toHaveLength(3)
  expect(await registry.versions('Strict')).toEqual([1])
  await registry.setMode('Strict', 'FULL')
  expect(await registry.mode('Strict')).toBe('FULL')
  const widened = given(schemaOf('Strict', PO2, { name: 'sequence', type: 'long' }))
  await expect(registry.register('Strict', widened)).rejects.toMatchObject({ reasons: [expect.stringMatching(/^version 1 cannot read its data: /)] })
  await registry.setMode('Strict', 'BACKWARD')
  expect(await registry.register('Strict', widened)).toMatchObject({ version: 2 })
})

test('no schema is registered whose container files could be taken for those of another meaning', async () => {
  const twin = schemaOf('Twin', PO2)
  await registry.register('Twin', given(twin))
  const mine = given(schemaOf('Twin', { ...PO2, 'oxbow.metric': 'mine' }))
  await expect(registry.register('Another twin', mine)).rejects.toMatchObject({ reasons: [expect.stringContaining('container files could not tell them apart')] })
  expect(await registry.register('Another twin', given({ ...twin, doc: 'the same meaning' }))).toMatchObject({ version: 1 })
})

test('limits have an answer', async () => {
  const { pool } = system
  await pool.query(`INSERT INTO registry.version (subject, version, schema_id) SELECT 'Full', n, s.id FROM (SELECT id, row_number() OVER () AS n FROM registry.schema) s`)
  const { rows: [count] } = await pool.query<{ count: number }>(`SELECT count(*)::int AS count FROM registry.version WHERE subject = 'Full'`)
  await pool.query(`WITH more AS (INSERT INTO registry.schema (id, type, text, digest) SELECT nextval('registry.schema_id'), 'AVRO', '{}', sha256(n::text::bytea) FROM generate_series(1, $1::int) n RETURNING id)
    INSERT INTO registry.version (subject, version, schema_id) SELECT 'Full', $2 + row_number() OVER (), id FROM more`, [VERSIONS_MAX - count!.count, count!.count])
  await expect(registry.register('Full', given(schemaOf('Full', PO2)))).rejects.toMatchObject({ registryCode: 42201, message: expect.stringContaining('at most 200 versions') })
})

test('the login of the server can neither change nor remove what is registered', async () => {
  for (const statement of ['UPDATE registry.schema SET text = text', 'DELETE FROM registry.schema', 'UPDATE registry.version SET version = version', 'DELETE FROM registry.version', 'DELETE FROM registry.config', `SELECT setval('registry.schema_id', 101)`]) {
    await expect(system.pool.query(statement), statement).rejects.toMatchObject({ code: '42501' })
  }
  await expect(system.database.pool.query('SELECT FROM registry.schema')).rejects.toMatchObject({ code: '42501' })
})

test('what another process registers is found soon', async () => {
  const schema = schemaOf('Elsewhere', PO2)
  const other = createRegistry({ pool: system.pool, models: MODELS, events: { schema: () => {} } })
  const { id } = await other.register('Elsewhere', given(schemaOf('Elsewhere', PO2, OTHER)))
  expect((await post(framed(id + 1, [record(schema, 70, 5)]))).body.rejected[0]!.reason).toBe('schema-unknown')
  expect(await other.register('Elsewhere 2', given({ ...schema, name: 'Elsewhere2' }))).toMatchObject({ id: id + 1 })
  system.now = (system.now + 3_000) as typeof system.now
  expect((await post(framed(id + 1, [record(schema, 70, 5)]))).body).toMatchObject({ received: 1, accepted: 1 })
})

test('what names a schema nobody knows is found by its number, at the door and on a topic, and goes once it is registered', async () => {
  const schema = schemaOf('Named', PO2)
  const id = (await registry.register('BeforeNamed', given(schemaOf('BeforeNamed', PO2)))).id + 1
  const message = (bytes: Buffer, offset: number) => ({ bytes, contentType: 'application/x-confluent', contentEncoding: '', source: { inlet: 'kafka/vendor/0', number: offset } })
  await post(framed(id, [record(schema, 101, 1)]))
  await post(record(schema, 102, 2), id)
  await ingest.acceptMessages([message(framed(id, [record(schema, 103, 3)]), 1), message(framed(2 ** 31 - 1, [Buffer.from([1])]), 2), message(framed(2 ** 32 - 1, [Buffer.from([1])]), 3)])
  await post(await container(schemaOf('Nameless', PO2), [{ deviceId: 'patch-1', timestamp_utc: TAKEN_AT, po2: 30 }]))
  const listed = async (...schemaIds: number[]) => (await ingest.review.list({ schemaIds, states: ['held'], limit: 10 }))
  expect((await listed(id)).map(({ schemaId, namedSchema, content }) => [schemaId, namedSchema, content])).toEqual([[0, id, 'avro'], [id, undefined, 'avro'], [0, id, 'confluent']])
  expect((await listed(2 ** 31 - 1, 2 ** 32 - 1)).map(({ namedSchema }) => namedSchema)).toEqual([2 ** 31 - 1, 2 ** 32 - 1])
  expect((await listed(0)).map(({ namedSchema, content }) => [namedSchema, content])).toEqual([[undefined, 'avro']])
  expect((await registry.register('Named', given(schema))).id).toBe(id)
  expect(await ingest.review.resubmit((await listed(id)).map(item => item.id))).toEqual({ resubmitted: 3, remaining: [] })
  const mine = (await system.batches()).filter(({ schemaId }) => schemaId === id)
  expect(mine.flatMap(({ readings }) => readings).map(({ takenAt, values }) => [takenAt - TAKEN_AT, values]).sort()).toEqual([[101, [1]], [102, [2]], [103, [3]]])
})
