import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRegistry, type Registry } from '../../../../src/ingest/schemas/registry.ts'
import { registryRoutes } from '../../../../src/ingest/schemas/registry.routes.ts'
import { TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2 } from '../../../../src/ingest/decode/fixed-schemas.ts'
import { MODELS } from '../../../support/ingest-door.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
let app: FastifyInstance
const outcomes: string[] = []
const declared: { method: string, url: string, config: unknown }[] = []

beforeAll(async () => {
  database = await testDatabase('bus')
  app = fastify()
  app.addHook('onRoute', ({ method, url, config }) => { declared.push({ method: String(method), url, config }) })
  app.setErrorHandler((_error, _request, reply) => reply.code(500).send('ours'))
  await app.register(registryRoutes(createRegistry({ pool: database.poolOf('oxbow_ingest'), models: MODELS, events: { schema: outcome => { outcomes.push(outcome) } } })))
})
afterAll(async () => {
  await app?.close()
  await database?.drop()
})

async function call (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<[status: number, body: unknown]> {
  const answer = await app.inject({ method, url: `/schema-registry${path}`, ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' } }) })
  expect(answer.headers['content-type']).toBe('application/vnd.schemaregistry.v1+json; charset=utf-8')
  return [answer.statusCode, answer.json()]
}

const PO2 = { name: 'po2', type: 'double', 'oxbow.metric': 'tissue-po2', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }
const schemaOf = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'Patch', fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, ...fields] })
const V1 = JSON.stringify(TISSUE_OXYGEN_V1)

test('what is registered is read as the API says', async () => {
  expect(await call('GET', '/subjects')).toEqual([200, ['TissueOxygen']])
  expect(await call('GET', '/subjects/TissueOxygen/versions')).toEqual([200, [1, 2]])
  expect(await call('GET', '/subjects/TissueOxygen/versions/1')).toEqual([200, { subject: 'TissueOxygen', version: 1, id: 1, schema: V1 }])
  for (const latest of ['latest', '-1', '2']) expect(await call('GET', `/subjects/TissueOxygen/versions/${latest}`)).toMatchObject([200, { version: 2, id: 2 }])
  expect(await call('GET', '/subjects/TissueOxygen/versions/2/schema')).toEqual([200, TISSUE_OXYGEN_V2])
  expect(await call('GET', '/schemas/ids/1')).toEqual([200, { schema: V1 }])
  expect(await call('GET', '/schemas/ids/1/schema')).toMatchObject([200, { name: 'TissueOxygen' }])
  expect(await call('GET', '/schemas/ids/2/versions')).toEqual([200, [{ subject: 'TissueOxygen', version: 2 }]])
  expect(await call('GET', '/schemas/ids/2/subjects')).toEqual([200, ['TissueOxygen']])
  expect(await call('POST', '/subjects/TissueOxygen', { schema: V1 })).toMatchObject([200, { subject: 'TissueOxygen', version: 1, id: 1 }])
})

test('registering gives the id, again the same, and is refused with the codes of the API', async () => {
  const [status, body] = await call('POST', '/subjects/ward%2Fpatch%2042-value/versions', { schema: schemaOf(PO2), schemaType: 'AVRO', references: [] })
  expect([status, body]).toEqual([200, { subject: 'ward/patch 42-value', version: 1, id: expect.any(Number), schema: schemaOf(PO2) }])
  expect(await call('POST', '/subjects/ward%2Fpatch%2042-value/versions', { schema: schemaOf(PO2) })).toEqual([200, body])
  const post = (body: unknown) => call('POST', '/subjects/ward%2Fpatch%2042-value/versions', body)
  expect(await post({ schema: schemaOf({ ...PO2, name: 'renamed' }) })).toMatchObject([409, { error_code: 409, message: expect.stringContaining('it cannot read data of version 1') }])
  expect(await post({ schema: schemaOf({ ...PO2, name: 'rssi', 'oxbow.metric': undefined, 'oxbow.kind': undefined, 'oxbow.unit': undefined }) })).toMatchObject([422, { error_code: 42201, message: expect.stringContaining('field rssi is no field of ours') }])
  for (const wrong of ['', '{', '[]', '"x"', {}, { schema: 1 }, { schema: V1, schemaType: 'XML' }, { schema: V1, references: [{ name: 'x', subject: 'y', version: 1 }] }, { schema: V1, ruleSet: {} }]) {
    expect(await post(wrong)).toMatchObject([422, { error_code: 42201 }])
  }
  expect(await call('POST', '/subjects/%0A/versions', { schema: V1 })).toMatchObject([422, { error_code: 42201 }])
  expect(outcomes.filter(outcome => outcome === 'registered')).toHaveLength(1)
  expect(outcomes.filter(outcome => outcome === 'refused')).toHaveLength(3)
})

test('Protobuf is registered as text or as a descriptor, and given as it was', async () => {
  const schema = 'syntax = "proto3"; message Strap { string device_id = 1; int64 timestamp_utc = 2; optional double spo2 = 3; }'
  const [status, { id }] = await call('POST', '/subjects/strap/versions', { schema, schemaType: 'PROTOBUF' }) as [number, { id: number }]
  expect(status).toBe(200)
  expect(await call('GET', `/schemas/ids/${id}`)).toEqual([200, { schemaType: 'PROTOBUF', schema }])
  expect(await call('GET', `/schemas/ids/${id}?format=serialized`)).toMatchObject([422, { error_code: 42201 }])
  expect(await call('GET', '/schemas/types')).toEqual([200, ['AVRO', 'PROTOBUF', 'JSON']])
})

test('a failure of ours is answered as everywhere', async () => {
  const broken = fastify()
  broken.setErrorHandler((error, _request, reply) => reply.code(503).send((error as Error).message))
  await broken.register(registryRoutes({ subjects: async () => { throw new Error('no store') } } as unknown as Registry))
  const answer = await broken.inject('/schema-registry/subjects')
  expect([answer.statusCode, answer.body]).toEqual([503, 'no store'])
  await broken.close()
})

test('what is not there has its code', async () => {
  expect(await call('GET', '/subjects/Nobody/versions')).toMatchObject([404, { error_code: 40401 }])
  expect(await call('GET', '/subjects/Nobody/versions/latest')).toMatchObject([404, { error_code: 40401 }])
  expect(await call('POST', '/subjects/Nobody', { schema: V1 })).toMatchObject([404, { error_code: 40401 }])
  expect(await call('GET', '/subjects/TissueOxygen/versions/3')).toMatchObject([404, { error_code: 40402 }])
  for (const version of ['0', 'x', '1.5', '99999999999']) expect(await call('GET', `/subjects/TissueOxygen/versions/${version}`)).toMatchObject([422, { error_code: 42202 }])
  for (const id of ['99', '2147483647', '9999999999', 'x']) expect(await call('GET', `/schemas/ids/${id}`)).toMatchObject([404, { error_code: 40403 }])
  expect(await call('GET', '/schemas/ids/99/versions')).toMatchObject([404, { error_code: 40403 }])
  expect(await call('POST', '/subjects/TissueOxygen', { schema: schemaOf(PO2) })).toMatchObject([404, { error_code: 40403 }])
})

test('the mode is that of the subject, or of all', async () => {
  expect(await call('GET', '/config')).toEqual([200, { compatibilityLevel: 'BACKWARD' }])
  expect(await call('GET', '/config/TissueOxygen')).toMatchObject([404, { error_code: 40408 }])
  expect(await call('GET', '/config/TissueOxygen?defaultToGlobal=true')).toEqual([200, { compatibilityLevel: 'BACKWARD' }])
  expect(await call('PUT', '/config/TissueOxygen', { compatibility: 'FULL_TRANSITIVE' })).toEqual([200, { compatibility: 'FULL_TRANSITIVE' }])
  expect(await call('GET', '/config/TissueOxygen')).toEqual([200, { compatibilityLevel: 'FULL_TRANSITIVE' }])
  for (const compatibility of ['NONE', 'full', undefined, 1]) expect(await call('PUT', '/config', { compatibility })).toMatchObject([422, { error_code: 42203 }])
  expect(await call('PUT', '/config', { compatibility: 'FORWARD' })).toEqual([200, { compatibility: 'FORWARD' }])
  expect(await call('GET', '/config')).toEqual([200, { compatibilityLevel: 'FORWARD' }])
  await call('PUT', '/config', { compatibility: 'BACKWARD' })
})

test('asking registers nothing, and says why when it is asked to', async () => {
  const path = '/compatibility/subjects/TissueOxygen/versions'
  expect(await call('POST', `${path}/latest`, { schema: JSON.stringify({ ...TISSUE_OXYGEN_V2, doc: 'new' }) })).toEqual([200, { is_compatible: true }])
  expect(await call('POST', `${path}/latest`, { schema: V1 })).toEqual([200, { is_compatible: false }])
  expect(await call('POST', `${path}/1?verbose=true`, { schema: V1 })).toEqual([200, { is_compatible: false, messages: ['sequence would no longer be delivered', 'channels, the list that may hold any channel, would no longer be delivered'] }])
  expect(await call('POST', path, { schema: V1 })).toEqual([200, { is_compatible: false }])
  expect(await call('POST', '/compatibility/subjects/Nobody/versions', { schema: V1 })).toEqual([200, { is_compatible: true }])
  expect(await call('POST', '/compatibility/subjects/Nobody/versions/latest', { schema: V1 })).toMatchObject([404, { error_code: 40401 }])
  expect(await call('GET', '/subjects/TissueOxygen/versions')).toEqual([200, [1, 2]])
})

test('nothing is removed', async () => {
  for (const path of ['/subjects/TissueOxygen', '/subjects/TissueOxygen/versions/1', '/config', '/config/TissueOxygen']) {
    expect(await call('DELETE', path)).toMatchObject([405, { error_code: 405 }])
  }
  expect(await call('GET', '/subjects/TissueOxygen/versions')).toEqual([200, [1, 2]])
})

test('every route says who may call it: reading and writing apart', () => {
  const scopes = declared.filter(({ method }) => method !== 'HEAD').map(({ method, url, config }) => [method, url, (config as { access: { scope: string } }).access.scope])
  expect(scopes.length).toBeGreaterThan(15)
  for (const [method, url, scope] of scopes) {
    const isRead = method === 'GET' || (method === 'POST' && !/\/subjects\/:subject\/versions$/.test(url!)) || url!.includes('/compatibility/')
    expect(scope, `${method} ${url}`).toBe(isRead ? '__schemas.read' : '__schemas.write')
  }
})
