import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RouteDeclaration } from '../../../src/auth/access.ts'
import { authPlugin, bearerToken } from '../../../src/auth/auth.plugin.ts'
import { mayInteract } from '../../../src/auth/principal.ts'
import { createTokenVerifier } from '../../../src/auth/verify-token.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { answerError } from '../../../src/http/error-handler.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createSigner, NOW, NOW_S, rawToken, type Signer, trusting } from '../../support/tokens.ts'

const AUDIENCE = 'https://oxbow.example/fhir'
const ISSUER = 'https://oxbow.example/auth'

let app: FastifyInstance
let signer: Signer
const logged: string[] = []

const fhir = (letter: 'c' | 'r' | 'u' | 'd' | 's'): RouteDeclaration => ({ access: { letter }, audit: 'fhir.read' })

beforeAll(async () => {
  signer = await createSigner(ISSUER, AUDIENCE)
  const log = createLogger('debug', line => { logged.push(line) })
  app = fastify({ logger: false })
  app.setErrorHandler((error, request, reply) => {
    const answer = answerError(error, request.url, log, { route: request.routeOptions.url ?? 'none', method: request.method })
    void reply.code(answer.status).type(answer.type).send(answer.body)
  })
  await app.register(authPlugin({ verify: createTokenVerifier({ issuers: [trusting(ISSUER, AUDIENCE, [signer.publicJwk])], fhirBase: AUDIENCE, now: () => epochMs(NOW) }) }))
  await app.register(async routes => {
    routes.get('/health/live', { config: { access: 'public', audit: 'none' } }, async request => ({ principal: request.principal }))
    routes.post('/ingest/telemetry', { config: { access: { scope: '__telemetry.write' }, audit: 'ingest.batch' } }, async request => request.principal)
    routes.get('/fhir/:type/:id', { config: fhir('r') }, async request => request.principal)
    routes.get('/fhir/:type', { config: fhir('s') }, async () => ({ ok: true }))
    routes.post('/fhir/:type', { config: fhir('c') }, async () => ({ ok: true }))
    routes.put('/fhir/:type/:id', { config: fhir('u') }, async () => ({ ok: true }))
    routes.patch('/fhir/:type/:id', { config: fhir('u') }, async () => ({ ok: true }))
    routes.delete('/fhir/:type/:id', { config: fhir('d') }, async () => ({ ok: true }))
    routes.get('/fhir/metadata', { config: { access: { letter: 'r', type: 'CapabilityStatement' }, audit: 'none' } }, async () => ({ ok: true }))
    routes.post('/fhir', { config: { access: 'token', audit: 'fhir.operation' } }, async request => {
      if (mayInteract(request.principal!, 'Patient', 'c').length === 0) throw new ServiceError('forbidden', 'SCOPE_INSUFFICIENT', 'the token does not allow this')
      return { ok: true }
    })
    routes.get('/undeclared', async () => ({ ok: true }))
  })
  await app.ready()
})

afterAll(async () => { await app.close() })

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
const call = (method: Method, url: string, authorization?: string) => app.inject({ method, url, headers: authorization === undefined ? {} : { authorization } })
const withScope = async (scope: string, claims: object = {}) => `Bearer ${await signer.token({ scope, ...claims })}`

async function expectInvalid (authorization: string, url = '/fhir/Observation/1'): Promise<void> {
  const answer = await call('GET', url, authorization)
  expect(answer.statusCode).toBe(401)
  expect(answer.headers['www-authenticate']).toBe('Bearer realm="fhir", error="invalid_token"')
  expect(answer.json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'login' }] })
}

async function expectInsufficient (method: Method, url: string, scope: string, claims: object = {}): Promise<void> {
  const answer = await call(method, url, await withScope(scope, claims))
  expect(answer.statusCode).toBe(403)
  expect(answer.headers['www-authenticate']).toContain('Bearer realm="fhir", error="insufficient_scope"')
  expect(answer.json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'forbidden' }] })
}

async function expectAllowed (method: Method, url: string, scope: string, claims: object = {}): Promise<void> {
  expect((await call(method, url, await withScope(scope, claims))).statusCode).toBe(200)
}

test('a public route asks nobody, whatever is sent', async () => {
  for (const authorization of [undefined, 'Bearer nonsense']) {
    const answer = await call('GET', '/health/live', authorization)
    expect([answer.statusCode, answer.json()]).toEqual([200, { principal: null }])
  }
})

test('the handler gets the principal', async () => {
  const answer = await call('POST', '/ingest/telemetry', await withScope('__telemetry.write'))
  expect(answer.json()).toMatchObject({ subject: `${ISSUER}|sensor-gateway`, clientId: 'gateway', extensions: ['__telemetry.write'] })
})

test('case 49: no token: 401 without error', async () => {
  const answer = await call('GET', '/fhir/Observation/1')
  expect(answer.statusCode).toBe(401)
  expect(answer.headers['www-authenticate']).toBe('Bearer realm="fhir"')
  expect(answer.json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'login' }] })
})

test('outside FHIR a refusal is a problem object', async () => {
  const answer = await call('POST', '/ingest/telemetry')
  expect([answer.statusCode, answer.json().error]).toEqual([401, 'TOKEN_MISSING'])
})

test('case 50: alg none', async () => {
  await expectInvalid(`Bearer ${rawToken({ alg: 'none', typ: 'at+jwt', kid: 'key-1' }, { iss: ISSUER, aud: AUDIENCE, sub: 'x', iat: NOW_S, exp: NOW_S + 60 }, 'AA')}`)
})

test('case 51: audience of another base', async () => {
  await expectInvalid(`Bearer ${await signer.token({ aud: 'https://other.example/fhir', scope: 'system/*.cruds' })}`)
})

test('case 52: expired beyond the skew', async () => {
  await expectInvalid(`Bearer ${await signer.token({ exp: NOW_S - 31, scope: 'system/*.cruds' })}`)
})

test('case 53: 20 s past the end', async () => {
  await expectAllowed('GET', '/fhir/Observation/1', 'system/*.cruds', { exp: NOW_S - 20 })
})

test('case 54: an id token as access token', async () => {
  await expectInvalid(`Bearer ${await signer.token({ aud: 'browser-app', scope: 'system/*.cruds' }, { typ: 'JWT' })}`)
})

test('case 56: a token in the query or the body is not looked at, and in no log', async () => {
  const token = await signer.token({ scope: 'system/*.cruds __telemetry.write' })
  const answers = [
    await app.inject({ method: 'GET', url: `/fhir/Observation/1?access_token=${token}` }),
    await app.inject({ method: 'POST', url: '/fhir', payload: { access_token: token } }),
    await app.inject({ method: 'GET', url: `/undeclared?access_token=${token}` })
  ]
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([401, 401, 500])
  expect(answers[0]!.headers['www-authenticate']).toBe('Bearer realm="fhir"')
  expect(logged.length).toBeGreaterThan(0)
  expect(logged.join('\n')).not.toContain(token.slice(0, 40))
  for (const answer of answers) expect(answer.body).not.toContain(token.slice(0, 40))
})

test('case 57: two headers, Basic, and bearer in lower case', async () => {
  const token = await signer.token({ scope: 'system/*.cruds' })
  expect(() => bearerToken([`Bearer ${token}`, `Bearer ${token}`])).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }))
  await expectInvalid(`Basic ${Buffer.from('client:secret').toString('base64')}`)
  expect((await call('GET', '/fhir/Observation/1', `bearer ${token}`)).statusCode).toBe(200)
  expect((await call('GET', '/fhir/Observation/1', `BEARER ${token}`)).statusCode).toBe(200)
})

test('a malformed header is refused', async () => {
  const token = await signer.token({ scope: 'system/*.cruds' })
  for (const authorization of ['Bearer', 'Bearer ', token, `Bearer ${token} ${token}`, `Bearer ${token}, Bearer ${token}`, `Bearer "${token}"`, `Bearer\t${token}`, `DPoP ${token}`]) await expectInvalid(authorization)
  expect(() => bearerToken([])).toThrow(expect.objectContaining({ code: 'TOKEN_MISSING' }))
  expect(bearerToken(['Bearer  abc '])).toBe('abc')
})

test('case 59: read with only s', async () => {
  await expectInsufficient('GET', '/fhir/Observation/1', 'system/Observation.s')
  await expectAllowed('GET', '/fhir/Observation/1', 'system/Observation.r')
})

test('case 60: search with only r', async () => {
  await expectInsufficient('GET', '/fhir/Observation', 'system/Observation.r')
  await expectAllowed('GET', '/fhir/Observation', 'system/Observation.s')
})

test('case 61: create with u, update and patch with c, delete with cu', async () => {
  await expectInsufficient('POST', '/fhir/Patient', 'system/Patient.u')
  await expectInsufficient('PUT', '/fhir/Patient/1', 'system/Patient.c')
  await expectInsufficient('PATCH', '/fhir/Patient/1', 'system/Patient.c')
  await expectInsufficient('DELETE', '/fhir/Patient/1', 'system/Patient.cu')
  await expectAllowed('POST', '/fhir/Patient', 'system/Patient.c')
  await expectAllowed('PUT', '/fhir/Patient/1', 'system/Patient.u')
  await expectAllowed('PATCH', '/fhir/Patient/1', 'system/Patient.write')
  await expectAllowed('DELETE', '/fhir/Patient/1', 'system/*.*')
})

test('case 30: a v1 read scope does not delete', async () => {
  await expectInsufficient('DELETE', '/fhir/Observation/1', 'patient/Observation.read', { patient: 'p1' })
})

test('case 74: patient/ without patient, user/ without fhirUser', async () => {
  await expectInsufficient('GET', '/fhir/Observation/1', 'patient/*.rs')
  await expectInsufficient('GET', '/fhir/Observation/1', 'user/*.rs', { patient: 'p1' })
  await expectAllowed('GET', '/fhir/Observation/1', 'patient/*.rs', { patient: 'p1' })
  await expectAllowed('GET', '/fhir/Observation/1', 'user/*.rs', { fhirUser: 'Practitioner/d1' })
})

test('the challenge names what would suffice, and nothing that a caller wrote', async () => {
  expect((await call('POST', '/ingest/telemetry', await withScope('system/*.cruds'))).headers['www-authenticate']).toBe('Bearer realm="fhir", error="insufficient_scope", scope="__telemetry.write"')
  expect((await call('GET', '/fhir/Patient/1', await withScope('__telemetry.write'))).headers['www-authenticate']).toBe('Bearer realm="fhir", error="insufficient_scope", scope="user/Patient.r"')
  expect((await call('GET', '/fhir/canary%22/1', await withScope('__telemetry.write'))).headers['www-authenticate']).toBe('Bearer realm="fhir", error="insufficient_scope"')
})

test('a refusal inside a request carries the challenge too', async () => {
  await expectInsufficient('POST', '/fhir', 'system/Patient.r')
  await expectAllowed('POST', '/fhir', 'system/Patient.c')
})

test('a route that declares nothing denies, an unknown address is told as such', async () => {
  expect((await call('GET', '/undeclared', await withScope('system/*.cruds'))).statusCode).toBe(500)
  expect((await call('GET', '/nowhere')).statusCode).toBe(404)
})
