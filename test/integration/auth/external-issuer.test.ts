import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { authPlugin } from '../../../src/auth/auth.plugin.ts'
import { externalIssuer } from '../../../src/auth/trusted-issuer.ts'
import { createTokenVerifier, type VerifyToken } from '../../../src/auth/verify-token.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createSigner, NOW, type Signer, trusting } from '../../support/tokens.ts'

const ISSUER = 'https://idp.hospital.example'
const AUDIENCE = 'https://oxbow.example/fhir'

let server: Server
let jwksUri: string
let old: Signer
let fresh: Signer
const clock = { time: NOW }
const provider = { body: '', status: 200, location: '', fetched: 0 }

beforeAll(async () => {
  old = await createSigner(ISSUER, AUDIENCE, { kid: 'old' })
  fresh = await createSigner(ISSUER, AUDIENCE, { kid: 'fresh' })
  server = createServer((_request, response) => {
    provider.fetched++
    response.writeHead(provider.status, { 'content-type': 'application/json', ...(provider.location === '' ? {} : { location: provider.location }) }).end(provider.body)
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
})

afterAll(() => { server.close() })

beforeEach(() => {
  Object.assign(provider, { body: JSON.stringify({ keys: [old.publicJwk] }), status: 200, location: '', fetched: 0 })
  clock.time = NOW
})

/** Keys are kept and fetches held off for as long as the test says. */
function verifier (options: { keysMaxAgeMs?: number, keysCooldownMs?: number } = {}): VerifyToken {
  const now = () => epochMs(clock.time)
  return createTokenVerifier({ issuers: [externalIssuer({ issuer: ISSUER, audience: AUDIENCE, algorithms: ['ES384'], jwksUri }, { now, ...options })], fhirBase: AUDIENCE, now, rememberMs: 0 })
}

const code = async (verify: VerifyToken, token: string) => {
  try {
    return (await verify(token)).clientId
  } catch (error) {
    return (error as { code?: string }).code
  }
}

test('keys are fetched once and used for every token', async () => {
  const verify = verifier()
  const tokens = await Promise.all(Array.from({ length: 10 }, (_, index) => old.token({ sub: `s${index}` })))
  expect(await Promise.all(tokens.map(token => code(verify, token)))).toEqual(tokens.map(() => 'gateway'))
  expect(provider.fetched).toBe(1)
})

test('E17: a new key is fetched when a token names it', async () => {
  const verify = verifier({ keysCooldownMs: 0 })
  expect(await code(verify, await old.token())).toBe('gateway')
  provider.body = JSON.stringify({ keys: [old.publicJwk, fresh.publicJwk] })
  expect(await code(verify, await fresh.token())).toBe('gateway')
})

test('E18: a withdrawn key is refused once the keys were fetched again', async () => {
  const verify = verifier({ keysMaxAgeMs: 0 })
  expect(await code(verify, await old.token())).toBe('gateway')
  provider.body = JSON.stringify({ keys: [fresh.publicJwk] })
  expect(await code(verify, await old.token())).toBe('TOKEN_INVALID')
})

test('a flood of unknown keys is one fetch', async () => {
  const verify = verifier()
  const flood = await Promise.all(Array.from({ length: 200 }, (_, index) => fresh.token({}, { kid: `unknown-${index}` })))
  for (const token of flood) expect(await code(verify, token)).toBe('TOKEN_INVALID')
  expect(provider.fetched).toBe(1)
})

test('when the keys cannot be had nobody gets in, and the provider is left in peace for a while', async () => {
  const verify = verifier({ keysCooldownMs: 30_000 })
  provider.status = 500
  for (let i = 0; i < 5; i++) expect(await code(verify, await old.token({ sub: `s${i}` }))).toBe('HTTP_UNREACHABLE')
  expect(provider.fetched).toBe(1)
  provider.status = 200
  clock.time = NOW + 30_000
  expect(await code(verify, await old.token())).toBe('gateway')
})

test('a redirect, a large answer and one that is no key set are not believed', async () => {
  for (const answer of [{ status: 302, location: jwksUri }, { body: JSON.stringify({ keys: [old.publicJwk], padding: 'x'.repeat(70_000) }) }, { body: 'no json' }, { body: '[]' }]) {
    Object.assign(provider, { status: 200, location: '', body: JSON.stringify({ keys: [old.publicJwk] }) }, answer)
    expect(await code(verifier(), await old.token())).toBe('HTTP_UNREACHABLE')
  }
})

test('case 57: two Authorization headers on one request are refused', async () => {
  const app = fastify({ logger: false })
  await app.register(authPlugin({ verify: createTokenVerifier({ issuers: [trusting(ISSUER, AUDIENCE, [old.publicJwk])], fhirBase: AUDIENCE, now: () => epochMs(NOW) }) }))
  app.get('/', { config: { access: 'token', audit: 'none' } }, async () => 'in')
  app.setErrorHandler((error, _request, reply) => { void reply.code((error as { category?: string }).category === 'unauthorized' ? 401 : 500).send() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  try {
    const authorization = ['Authorization', `Bearer ${await old.token()}`]
    const host = ['Host', 'localhost']
    const { port } = app.server.address() as AddressInfo
    expect(await statusOf(port, [...host, ...authorization])).toBe(200)
    expect(await statusOf(port, [...host, ...authorization, ...authorization])).toBe(401)
    expect(await statusOf(port, [...host, ...authorization, 'authorization', 'Basic eDp5'])).toBe(401)
  } finally {
    await app.close()
  }
})

function statusOf (port: number, headers: string[]): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path: '/', headers, agent: false }, response => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject).end()
  })
}
