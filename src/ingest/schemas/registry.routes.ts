/** `/schema-registry/…`: the subset of Confluent's registry API that its clients need, as base URL of theirs (docs/schemas.md). */

import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { RouteDeclaration } from '../../auth/access.ts'
import { MODES, type Mode } from './compatibility.ts'
import { SCHEMA_TYPES } from './compile-schema.ts'
import { SCHEMA_BYTES_MAX, type SchemaText, type SchemaType } from './compiled-schema.ts'
import { isDescriptor } from './protobuf-schema.ts'
import type { Registry, VersionName } from './registry.ts'
import type { StoredVersion } from './registry-rows.ts'
import { SchemaRefusal } from './schema-refusal.ts'

const TYPE = 'application/vnd.schemaregistry.v1+json; charset=utf-8'
const BASE = '/schema-registry'
/** Each character of a schema may take several in its JSON. */
const BODY_BYTES_MAX = 6 * SCHEMA_BYTES_MAX

const READ: RouteDeclaration = { access: { scope: '__schemas.read' }, audit: 'none' }
const REGISTER: RouteDeclaration = { access: { scope: '__schemas.write' }, audit: 'schema.registered' }
const CONFIGURE: RouteDeclaration = { access: { scope: '__schemas.write' }, audit: 'config.changed' }

interface Parameters { subject: string, version: string, id: string }
type Request = FastifyRequest<{ Params: Parameters, Querystring: Readonly<Record<string, string | undefined>>, Body: unknown }>

export function registryRoutes (registry: Registry): FastifyPluginAsync {
  return async app => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'string', bodyLimit: BODY_BYTES_MAX }, (_request, text, done) => { done(null, text) })
    app.setErrorHandler((error, _request, reply) => {
      if (!(error instanceof SchemaRefusal)) throw error
      return reply.code(error.status).type(TYPE).send(JSON.stringify({ error_code: error.registryCode, message: error.message }))
    })
    readRoutes(app, registry)
    writeRoutes(app, registry)
    configRoutes(app, registry)
    refusedRoutes(app)
  }
}

/** A text is a schema itself. */
function send (reply: FastifyReply, answer: unknown): FastifyReply { return reply.type(TYPE).send(typeof answer === 'string' ? answer : JSON.stringify(answer)) }

function readRoutes (app: FastifyInstance, registry: Registry): void {
  const get = (path: string, answer: (request: Request) => Promise<unknown>) => app.get(BASE + path, { config: READ }, async (request, reply) => send(reply, await answer(request as Request)))
  get('/schemas/types', async () => SCHEMA_TYPES)
  get('/schemas/ids/:id', async ({ params, query }) => schemaAnswer(inFormat(await registry.schema(idOf(params.id)), query['format'])))
  get('/schemas/ids/:id/schema', async ({ params }) => (await registry.schema(idOf(params.id))).text)
  get('/schemas/ids/:id/subjects', async ({ params }) => [...new Set((await subjectsOf(registry, params.id)).map(({ subject }) => subject))])
  get('/schemas/ids/:id/versions', async ({ params }) => subjectsOf(registry, params.id))
  get('/subjects', () => registry.subjects())
  get('/subjects/:subject/versions', ({ params }) => registry.versions(params.subject))
  get('/subjects/:subject/versions/:version', async ({ params }) => versionAnswer(await registry.version(params.subject, versionOf(params.version))))
  get('/subjects/:subject/versions/:version/schema', async ({ params }) => (await registry.version(params.subject, versionOf(params.version))).text)
}

async function subjectsOf (registry: Registry, id: string): Promise<{ subject: string, version: number }[]> {
  await registry.schema(idOf(id))
  return registry.subjectsOf(idOf(id))
}

function writeRoutes (app: FastifyInstance, registry: Registry): void {
  const post = (path: string, config: RouteDeclaration, answer: (request: Request) => Promise<unknown>) =>
    app.post(BASE + path, { config, bodyLimit: BODY_BYTES_MAX }, async (request, reply) => send(reply, await answer(request as Request)))
  post('/subjects/:subject', READ, async ({ params, body }) => versionAnswer(await registry.find(params.subject, schemaIn(body))))
  post('/subjects/:subject/versions', REGISTER, async ({ params, body }) => {
    const version = await registry.register(params.subject, schemaIn(body))
    return { ...versionAnswer(version), id: version.id }
  })
  const check = async ({ params, query, body }: Request, against?: VersionName) => {
    const messages = await registry.problems(params.subject, schemaIn(body), against)
    return { is_compatible: messages.length === 0, ...(query['verbose'] === 'true' ? { messages } : {}) }
  }
  post('/compatibility/subjects/:subject/versions', READ, request => check(request))
  post('/compatibility/subjects/:subject/versions/:version', READ, request => check(request, versionOf(request.params.version)))
}

function configRoutes (app: FastifyInstance, registry: Registry): void {
  app.get(`${BASE}/config`, { config: READ }, async (_request, reply) => send(reply, { compatibilityLevel: await registry.mode('') }))
  app.get(`${BASE}/config/:subject`, { config: READ }, async (request, reply) => {
    const { params, query } = request as Request
    const mode = await registry.mode(params.subject) ?? (query['defaultToGlobal'] === 'true' ? await registry.mode('') : undefined)
    if (mode === undefined) throw new SchemaRefusal(40408, `Subject '${params.subject}' does not have subject-level compatibility configured`)
    return send(reply, { compatibilityLevel: mode })
  })
  const put = async (subject: string, body: unknown, reply: FastifyReply) => {
    const mode = modeIn(body)
    await registry.setMode(subject, mode)
    return send(reply, { compatibility: mode })
  }
  app.put(`${BASE}/config`, { config: CONFIGURE }, (request, reply) => put('', request.body, reply))
  app.put(`${BASE}/config/:subject`, { config: CONFIGURE }, (request, reply) => put((request as Request).params.subject, request.body, reply))
}

/** Said in words, where a client would otherwise only see that there is nothing. */
function refusedRoutes (app: FastifyInstance): void {
  for (const path of ['/subjects/:subject', '/subjects/:subject/versions/:version', '/config', '/config/:subject']) {
    app.delete(BASE + path, { config: CONFIGURE }, async () => {
      throw new SchemaRefusal(405, path.startsWith('/config') ? 'a compatibility level is changed, not removed: PUT another' : 'schemas are never removed: readings that are kept refer to them by their id')
    })
  }
}

/** As the API says it: the type of Avro is left out. */
function typeAnswer (type: SchemaType): object { return type === 'AVRO' ? {} : { schemaType: type } }

function schemaAnswer ({ type, text }: SchemaText): object { return { ...typeAnswer(type), schema: text } }

function versionAnswer ({ subject, version, id, type, text }: StoredVersion): object { return { subject, version, id, ...typeAnswer(type), schema: text } }

/** A descriptor is what was registered, or nothing: none is made from a text. */
function inFormat (schema: SchemaText, format: string | undefined): SchemaText {
  if (schema.type !== 'PROTOBUF' || format !== 'serialized' || isDescriptor(schema.text)) return schema
  throw new SchemaRefusal(42201, 'format=serialized is given only of a schema that was registered as a descriptor')
}

function idOf (text: string): number {
  if (!/^[0-9]{1,10}$/.test(text)) throw new SchemaRefusal(40403, 'Schema not found')
  return Math.min(Number(text), 2 ** 31 - 1)
}

function versionOf (text: string): VersionName {
  if (text === 'latest' || text === '-1') return 'latest'
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new SchemaRefusal(42202, `The specified version is not a valid version id. Allowed values are between 1 and 2^31-1 and the string "latest"`)
  return Number(text)
}

function objectIn (body: unknown): Readonly<Record<string, unknown>> {
  let parsed: unknown
  try {
    parsed = JSON.parse(typeof body === 'string' ? body : '')
  } catch {
    // Answered below.
  }
  if (typeof parsed !== 'object' || parsed === null) throw new SchemaRefusal(42201, 'the body is no JSON object')
  return parsed as Readonly<Record<string, unknown>>
}

function schemaIn (body: unknown): SchemaText {
  const { schema, schemaType = 'AVRO', references, ruleSet } = objectIn(body)
  if (typeof schema !== 'string') throw new SchemaRefusal(42201, '"schema" is missing, the schema as one text')
  const type = SCHEMA_TYPES.find(known => known === schemaType)
  if (type === undefined) throw new SchemaRefusal(42201, `"schemaType" must be one of ${SCHEMA_TYPES.join(', ')}`)
  if (Array.isArray(references) && references.length > 0) throw new SchemaRefusal(42201, 'references to other schemas are not taken: write what is referred to into the schema itself')
  if (ruleSet !== undefined && ruleSet !== null) throw new SchemaRefusal(42201, 'rules are not taken: nothing here would keep them')
  return { type, text: schema }
}

function modeIn (body: unknown): Mode {
  const { compatibility } = objectIn(body)
  const mode = MODES.find(known => known === compatibility)
  if (mode === undefined) throw new SchemaRefusal(42203, `Invalid compatibility level. Valid values are ${MODES.join(', ')}`)
  return mode
}
