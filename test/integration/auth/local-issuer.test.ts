import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLocalIssuer, localAddresses, localTokenKeyFile, type TokenRequest } from '../../../src/auth/local-issuer.ts'
import { createTokenVerifier } from '../../../src/auth/verify-token.ts'
import { epochMs } from '../../../src/model/units.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6)
const now = () => epochMs(NOW)
const request: TokenRequest = { scope: '__telemetry.write system/Observation.rs', subject: 'gateway-1', clientId: 'test', ttlS: 600 }

let folder: string
let file: string
const open = (path = file, publicUrl = 'https://oxbow.example') => createLocalIssuer({ file: path, publicUrl, now })
const verifier = async (path = file, publicUrl = 'https://oxbow.example') =>
  createTokenVerifier({ issuers: [(await open(path, publicUrl)).trusted], fhirBase: localAddresses(publicUrl).audience, now })

beforeAll(async () => {
  folder = temporaryFolder('tokens')
  file = join(folder, 'keys.tokens.json')
})

afterAll(async () => { await rm(folder, { recursive: true, force: true }) })

test('the key file stands beside that of the key ring, for its owner alone', async () => {
  await open()
  expect(localTokenKeyFile('/srv/oxbow-keys.json')).toBe('/srv/oxbow-keys.tokens.json')
  expect(localTokenKeyFile('/srv/ring')).toBe('/srv/ring.tokens.json')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
})

test('a token holds what was asked for and verifies in another process', async () => {
  const token = await (await open()).issue({ ...request, scope: ' __telemetry.write  system/Observation.rs', patient: 'p1', fhirUser: 'Practitioner/d1' })
  expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'ES384', typ: 'at+jwt' })
  expect(decodeJwt(token)).toMatchObject({
    iss: 'https://oxbow.example/auth', aud: 'https://oxbow.example/fhir', sub: 'gateway-1', client_id: 'test', scope: '__telemetry.write system/Observation.rs', iat: NOW / 1_000, exp: NOW / 1_000 + 600
  })
  expect(await (await verifier())(token)).toMatchObject({ subject: 'https://oxbow.example/auth|gateway-1', patient: 'p1', fhirUser: 'Practitioner/d1', extensions: ['__telemetry.write'] })
})

test('without a public address tokens hold on any port', async () => {
  expect(localAddresses('')).toEqual({ issuer: 'http://localhost/auth', audience: 'http://localhost/fhir' })
  expect(localAddresses('https://oxbow.example/')).toEqual(localAddresses('https://oxbow.example'))
  const token = await (await open(file, '')).issue(request)
  expect(await (await verifier(file, ''))(token)).toMatchObject({ clientId: 'test' })
})

test('a token of another deployment or address is refused', async () => {
  const other = await (await open(join(folder, 'other.json'))).issue(request)
  const moved = await (await open(file, 'https://moved.example')).issue(request)
  const verify = await verifier()
  for (const token of [other, moved]) await expect((async () => verify(token))()).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
})

test('processes that start first at the same time use one key', async () => {
  const path = join(folder, 'together.json')
  const issuers = await Promise.all(Array.from({ length: 4 }, () => open(path)))
  const verify = await verifier(path)
  for (const issuer of issuers) expect(await verify(await issuer.issue(request))).toMatchObject({ clientId: 'test' })
})

test('scopes outside the grammar are refused by name', async () => {
  const issuer = await open()
  await expect(issuer.issue({ ...request, scope: '__telemetry.write patient/Observation.sr nonsense' })).rejects.toMatchObject({ code: 'USAGE', message: 'no such scope: patient/Observation.sr nonsense' })
})

test.each<[string, Partial<TokenRequest>]>([
  ['no scope', { scope: ' ' }],
  ['too many scopes', { scope: 'system/Observation.rs '.repeat(300) }],
  ['patient/ without a patient', { scope: 'patient/*.rs' }],
  ['user/ without a user', { scope: 'user/*.rs', patient: 'p1' }],
  ['a patient that is a reference', { scope: 'patient/*.rs', patient: 'Patient/p1' }],
  ['a user that is no reference', { scope: 'user/*.rs', fhirUser: 'd1' }],
  ['no life', { ttlS: 0 }],
  ['half a second', { ttlS: 1.5 }],
  ['no end', { ttlS: Number.POSITIVE_INFINITY }],
  ['no subject', { subject: '' }]
])('%s is refused', async (_name, changes) => {
  await expect((await open()).issue({ ...request, ...changes })).rejects.toMatchObject({ category: 'incorrect', code: 'USAGE' })
})

test('a damaged or readable key file is refused without quoting it', async () => {
  const path = join(folder, 'damaged.json')
  const text = await readFile(file, 'utf8')
  for (const damaged of ['secret-canary', '{}', '{"keys": []}', '{"keys": "secret-canary"}', '{"keys": [{"kty": "oct", "k": "secret-canary", "kid": "1"}]}', text.replace(/"d": "[^"]+"/, '"d": "secret-canary"')]) {
    await rm(path, { force: true })
    await writeFile(path, damaged, { mode: 0o600 })
    const error = await open(path).catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ code: 'KEY_FILE' })
    expect((error as Error).message).not.toContain('canary')
  }
  await writeFile(path, text)
  await chmod(path, 0o644)
  await expect(open(path)).rejects.toMatchObject({ code: 'KEY_FILE' })
})
