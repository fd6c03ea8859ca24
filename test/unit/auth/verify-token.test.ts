import { createHmac } from 'node:crypto'
import { type CryptoKey, exportSPKI, importJWK, SignJWT } from 'jose'
import { beforeAll, expect, test } from 'vitest'
import type { Principal } from '../../../src/auth/principal.ts'
import type { TrustedIssuer } from '../../../src/auth/trusted-issuer.ts'
import { externalIssuer } from '../../../src/auth/trusted-issuer.ts'
import { createTokenVerifier, type VerifyToken } from '../../../src/auth/verify-token.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createSigner, NOW, NOW_S, rawToken, type Signer, trusting } from '../../support/tokens.ts'

const BASE = 'https://oxbow.example'
const AUDIENCE = `${BASE}/fhir`
const LOCAL = `${BASE}/auth`
const HOSPITAL = 'https://idp.hospital.example/realms/ward'

let local: Signer
let hospital: Signer
let rsa: Signer

const clock = { time: NOW }
const now = () => epochMs(clock.time)
const external = (changes: object = {}) => externalIssuer({ issuer: HOSPITAL, audience: AUDIENCE, algorithms: ['ES384', 'RS256'], jwks: { keys: [hospital.publicJwk, rsa.publicJwk] }, ...changes }, { now })
const verifierOf = (...issuers: TrustedIssuer[]) => createTokenVerifier({ issuers, fhirBase: AUDIENCE, now })
const both = () => verifierOf(trusting(LOCAL, AUDIENCE, [local.publicJwk]), external())
const invalid = expect.objectContaining({ name: 'ServiceError', category: 'unauthorized', code: 'TOKEN_INVALID' })
const refuses = async (verify: VerifyToken, token: string) => { await expect((async () => verify(token))()).rejects.toEqual(invalid) }
const accepts = async (verify: VerifyToken, token: string): Promise<Principal> => verify(token)

beforeAll(async () => {
  local = await createSigner(LOCAL, AUDIENCE)
  hospital = await createSigner(HOSPITAL, AUDIENCE, { kid: 'hospital-1' })
  rsa = await createSigner(HOSPITAL, AUDIENCE, { alg: 'RS256', kid: 'hospital-rsa' })
})

test('a good token gives its principal', async () => {
  expect(await accepts(both(), await local.token({ scope: '__telemetry.write system/Observation.rs openid nonsense', patient: 'p1', fhirUser: 'Practitioner/d1' }))).toEqual({
    subject: `${LOCAL}|sensor-gateway`,
    clientId: 'gateway',
    grants: [expect.objectContaining({ context: 'system', type: 'Observation', letters: 'rs' })],
    extensions: ['__telemetry.write'],
    patient: 'p1',
    fhirUser: 'Practitioner/d1'
  })
})

test('a token verified before is answered at once, until it expires', async () => {
  const verify = both()
  const token = await local.token()
  const first = await accepts(verify, token)
  expect(verify(token)).toBe(first)
  clock.time = (NOW_S + 300 + 30) * 1_000
  try {
    await refuses(verify, token)
  } finally {
    clock.time = NOW
  }
})

test('a remembered token is verified again after the time it is remembered', async () => {
  const verify = createTokenVerifier({ issuers: [trusting(LOCAL, AUDIENCE, [local.publicJwk])], fhirBase: AUDIENCE, now, rememberMs: 1_000 })
  const token = await local.token()
  await verify(token)
  clock.time = NOW + 1_000
  try {
    expect(verify(token)).toBeInstanceOf(Promise)
  } finally {
    clock.time = NOW
  }
})

test('no more tokens are remembered than the limit', async () => {
  const verify = createTokenVerifier({ issuers: [trusting(LOCAL, AUDIENCE, [local.publicJwk])], fhirBase: AUDIENCE, now, rememberedMax: 1 })
  const [one, other] = [await local.token(), await local.token({ sub: 'other' })]
  await verify(one)
  await verify(other)
  expect(verify(other)).not.toBeInstanceOf(Promise)
  expect(verify(one)).toBeInstanceOf(Promise)
})

test('case 50: alg none', async () => {
  const claims = { iss: LOCAL, aud: AUDIENCE, sub: 'x', iat: NOW_S, exp: NOW_S + 60 }
  await refuses(both(), rawToken({ alg: 'none', typ: 'at+jwt', kid: 'key-1' }, claims))
  await refuses(both(), rawToken({ alg: 'none', typ: 'at+jwt', kid: 'key-1' }, claims, 'AAAA'))
})

test('case 51: audience of another base', async () => {
  for (const aud of ['https://other.example/fhir', BASE, `${AUDIENCE}/`, [], ['https://other.example/fhir'], undefined]) await refuses(both(), await local.token({ aud }))
  await accepts(both(), await local.token({ aud: ['https://other.example/fhir', AUDIENCE] }))
})

test('cases 52 and 53: expired beyond the skew, and 20 s past the end', async () => {
  await refuses(both(), await local.token({ exp: NOW_S - 30 }))
  await accepts(both(), await local.token({ exp: NOW_S - 20 }))
})

test('case 54: an id token is no access token', async () => {
  await refuses(both(), await hospital.token({ aud: 'browser-app' }, { typ: 'JWT' }))
  await refuses(both(), await hospital.token({}, { typ: 'JWT' }))
})

test('case 58: a token bound to a key needs a proof that is not taken', async () => {
  await refuses(both(), await local.token({ cnf: { jkt: 'x' } }))
})

test.each([['exp'], ['iat'], ['sub'], ['iss'], ['aud']])('a token without %s is refused', async claim => {
  await refuses(both(), await local.token({ [claim]: undefined }))
})

test('claims of the wrong type are refused', async () => {
  for (const claims of [{ exp: String(NOW_S + 60) }, { iat: 'now' }, { sub: 7 }, { sub: '' }, { nbf: 'x' }, { iss: [LOCAL] }]) await refuses(both(), await local.token(claims))
})

test('what is no token is refused', async () => {
  for (const text of ['', 'x', 'a.b', 'a.b.c', '..', '{}', 'e30.e30.e30', `${await local.token()}x`, (await local.token()).slice(0, -3)]) await refuses(both(), text)
})

test('a token is refused without saying why', async () => {
  const error = await (async () => both()(await local.token({ exp: NOW_S - 60, sub: 'canary-subject' })))().catch((thrown: Error) => thrown)
  expect(error).toEqual(invalid)
  expect(JSON.stringify([(error as Error).message, (error as Error).cause])).not.toContain('canary')
})

test('E1, E2: an issuer that is not trusted, and one with a trailing slash', async () => {
  await refuses(both(), await hospital.token({ iss: 'https://idp.evil.example' }))
  await refuses(both(), await hospital.token({ iss: `${HOSPITAL}/` }))
})

test('E3: the key of one issuer never speaks for another', async () => {
  await refuses(both(), await hospital.token({ iss: LOCAL }))
  await refuses(both(), await hospital.token({ iss: LOCAL }, { kid: 'key-1' }))
  await refuses(both(), await local.token({ iss: HOSPITAL }, { kid: 'hospital-1' }))
})

test('E5 to E8: times are held to 30 s', async () => {
  await accepts(both(), await hospital.token({ exp: NOW_S - 20 }))
  await refuses(both(), await hospital.token({ exp: NOW_S - 31 }))
  await refuses(both(), await hospital.token({ nbf: NOW_S + 300 }))
  await accepts(both(), await hospital.token({ nbf: NOW_S + 20 }))
  await refuses(both(), await hospital.token({ iat: NOW_S + 600, exp: NOW_S + 900 }))
  await accepts(both(), await hospital.token({ iat: NOW_S + 20 }))
  await refuses(both(), await hospital.token({ exp: undefined }))
})

test('a token of another issuer is believed for an hour at most', async () => {
  await accepts(both(), await hospital.token({ iat: NOW_S - 3_600, exp: NOW_S + 300 }))
  await refuses(both(), await hospital.token({ iat: NOW_S - 3_631, exp: NOW_S + 300 }))
  await accepts(both(), await local.token({ iat: NOW_S - 86_400, exp: NOW_S + 300 }))
})

test('E10 to E13: other types, keys inside or beside the token, odd key ids', async () => {
  for (const header of [{ typ: 'logout+jwt' }, { typ: undefined }, { jku: 'https://idp.hospital.example/jwks' }, { jwk: hospital.publicJwk }, { x5u: 'https://x' }, { x5c: ['MII'] }, { kid: '../../etc/passwd' }, { kid: undefined }, { kid: 'unknown' }]) {
    await refuses(both(), await hospital.token({}, header))
  }
  await accepts(both(), await hospital.token({}, { typ: 'application/AT+JWT' }))
})

test('a critical header is refused', async () => {
  const claims = { iss: LOCAL, aud: AUDIENCE, sub: 'x', iat: NOW_S, exp: NOW_S + 60 }
  const header = { alg: 'ES384', typ: 'at+jwt', kid: 'key-1' }
  const token = await new SignJWT(claims).setProtectedHeader(header).sign(local.privateKey)
  await accepts(both(), token)
  await refuses(both(), await new SignJWT(claims).setProtectedHeader({ ...header, crit: ['b64'], b64: true }).sign(local.privateKey))
})

test('E14 to E16: the right key id with a wrong key, a public key as secret, no algorithm', async () => {
  const impostor = await createSigner(HOSPITAL, AUDIENCE, { kid: 'hospital-1' })
  await refuses(both(), await impostor.token())
  const pem = await exportSPKI(await importJWK(rsa.publicJwk, 'RS256', { extractable: true }) as CryptoKey)
  const unsigned = rawToken({ alg: 'HS256', typ: 'at+jwt', kid: 'hospital-rsa' }, { iss: HOSPITAL, aud: AUDIENCE, sub: 'x', iat: NOW_S, exp: NOW_S + 60 }).slice(0, -1)
  await refuses(both(), `${unsigned}.${createHmac('sha256', pem).update(unsigned).digest('base64url')}`)
  await refuses(both(), rawToken({ alg: 'none', typ: 'at+jwt', kid: 'hospital-1' }, { iss: HOSPITAL, aud: AUDIENCE, sub: 'x', iat: NOW_S, exp: NOW_S + 60 }))
})

test('an algorithm that the issuer does not name is refused', async () => {
  await accepts(both(), await rsa.token())
  await refuses(verifierOf(external({ algorithms: ['ES384'] })), await rsa.token())
})

test('E20: Entra tokens: scp and roles with dotted names', async () => {
  const verify = verifierOf(external({ typ: ['JWT'], scopeClaim: 'scp roles', algorithms: ['RS256'] }))
  const token = await rsa.token({ scope: 'system/*.cruds', scp: 'patient.Observation.read user.all.read openid', roles: ['system.Observation.rs', '__telemetry.write'], patient: 'p1', client_id: undefined, appid: 'entra-app' }, { typ: 'JWT' })
  const principal = await accepts(verify, token)
  expect(principal.grants.map(({ context, type, letters }) => `${context}/${type}.${letters}`)).toEqual(['patient/Observation.rs', 'user/*.rs', 'system/Observation.rs'])
  expect(principal.extensions).toEqual(['__telemetry.write'])
  expect(principal.clientId).toBe('entra-app')
})

test('a Keycloak token: typ JWT, azp, scopes by spaces', async () => {
  const verify = verifierOf(external({ typ: ['JWT'] }))
  const principal = await accepts(verify, await hospital.token({ scope: 'openid patient/Observation.rs', azp: 'growth-chart', client_id: undefined, patient: 'p1' }, { typ: 'JWT' }))
  expect(principal).toMatchObject({ subject: `${HOSPITAL}|sensor-gateway`, clientId: 'growth-chart', patient: 'p1' })
})

test('E21: a client outside the allow list is refused, so is one that does not say', async () => {
  const verify = verifierOf(external({ clientAllowList: ['gateway'] }))
  await accepts(verify, await hospital.token())
  await refuses(verify, await hospital.token({ client_id: 'other' }))
  await refuses(verify, await hospital.token({ client_id: undefined }))
})

test('dotted scopes and scope lists are not read from our own tokens', async () => {
  expect((await accepts(both(), await local.token({ scope: 'patient.Observation.read' }))).grants).toEqual([])
})

test('a patient or user that is not of this server is left out', async () => {
  for (const claims of [{ patient: 'Patient/p1' }, { patient: ['p1'] }, { patient: `p1' or 1=1` }, { fhirUser: 'https://other.example/fhir/Practitioner/d1' }, { fhirUser: 'Practitioner' }, { fhirUser: 'Group/g1' }]) {
    const principal = await accepts(both(), await local.token(claims))
    expect([principal.patient, principal.fhirUser]).toEqual([undefined, undefined])
  }
  expect((await accepts(both(), await local.token({ fhirUser: `${AUDIENCE}/Practitioner/d1` }))).fhirUser).toBe('Practitioner/d1')
})

test('a setting that would trust too much is refused', () => {
  for (const changes of [{ audience: '' }, { algorithms: [] }, { algorithms: ['HS256'] }, { algorithms: ['none'] }, { jwks: { keys: [{ ...hospital.publicJwk, d: 'x' }] } }, { jwks: { keys: [{ kty: 'oct', k: 'x' }] } },
    { jwks: undefined }, { jwks: undefined, jwksUri: 'http://idp.hospital.example/jwks' }, { jwks: undefined, jwksUri: 'file:///etc/keys' }]) {
    expect(() => external(changes)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  }
  expect(() => verifierOf(external(), external())).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})
