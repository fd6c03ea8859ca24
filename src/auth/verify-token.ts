/** Access tokens (smart.md §6 rule 1): takes the text of a bearer token, gives the principal it proves, or refuses it with one answer for all causes. */

import { hash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { ServiceError } from '../model/errors.ts'
import type { EpochMs } from '../model/units.ts'
import { createBoundedMemory } from '../security/bounded-memory.ts'
import type { Principal } from './principal.ts'
import { parseScopes } from './scope.ts'
import { plainType, type TrustedIssuer } from './trusted-issuer.ts'

export interface TokenVerifierOptions {
  issuers: readonly TrustedIssuer[]
  /** Address of the FHIR base, as `fhirUser` may spell it in full. */
  fhirBase: string
  now: () => EpochMs
  /** Most verified tokens remembered. Default 10,000. */
  rememberedMax?: number
  /** How long a verified token is believed without checking its signature again. Default 5 min. */
  rememberMs?: number
}

/** At once for a token verified before. @throws ServiceError unauthorized TOKEN_INVALID; unavailable HTTP_UNREACHABLE when the keys of its issuer cannot be had */
export type VerifyToken = (token: string) => Principal | Promise<Principal>

/** Difference of clocks that is overlooked. */
const SKEW_S = 30
const ID = /^[A-Za-z0-9.-]{1,64}$/
const FHIR_USER = /^(?:Patient|Practitioner|PractitionerRole|RelatedPerson|Person)\/[A-Za-z0-9.-]{1,64}$/
const DOTTED = /^(patient|user|system)\.(all|[A-Z][A-Za-z]+)\.(.+)$/

export function createTokenVerifier (options: TokenVerifierOptions): VerifyToken {
  const { now, rememberedMax = 10_000, rememberMs = 300_000 } = options
  const issuers = new Map(options.issuers.map(issuer => [issuer.issuer, issuer]))
  if (issuers.size !== options.issuers.length) throw new ServiceError('incorrect', 'CONFIG_INVALID', 'auth.issuers: an issuer is named twice')
  const verified = createBoundedMemory<Principal>({ sizeMax: rememberedMax, now })

  async function verifyAnew (token: string, digest: string): Promise<Principal> {
    const issuer = issuers.get(claimedIssuer(token))
    if (issuer === undefined) throw tokenInvalid('iss')
    const claims = await verifyClaims(token, issuer, now())
    const principal = principalOf(claims, issuer, options.fhirBase)
    const diesAtS = Math.min(claims.exp, claims.iat + (issuer.ageMaxS ?? Number.POSITIVE_INFINITY))
    verified.set(digest, principal, Math.min((diesAtS + SKEW_S) * 1_000, now() + rememberMs))
    return principal
  }

  return token => {
    const digest = hash('sha256', token, 'base64url')
    return verified.get(digest) ?? verifyAnew(token, digest)
  }
}

/** @param cause which rule it broke: for the audit, never for the caller */
export function tokenInvalid (cause: string): ServiceError {
  return new ServiceError('unauthorized', 'TOKEN_INVALID', 'the bearer token is not valid here', { cause })
}

type Claims = JWTPayload & { sub: string, exp: number, iat: number }

function claimedIssuer (token: string): string {
  try {
    return decodeJwt(token).iss ?? ''
  } catch {
    throw tokenInvalid('form')
  }
}

async function verifyClaims (token: string, issuer: TrustedIssuer, now: EpochMs): Promise<Claims> {
  assertHeader(token, issuer)
  const claims = await checked(jwtVerify(token, keysOf(issuer), {
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    audience: issuer.audience,
    clockTolerance: SKEW_S,
    currentDate: new Date(now),
    requiredClaims: ['exp', 'iat', 'sub', 'aud']
  }))
  const { sub, exp, iat } = claims
  if (typeof sub !== 'string' || sub === '' || exp === undefined || iat === undefined) throw tokenInvalid('sub')
  if (iat > now / 1_000 + SKEW_S) throw tokenInvalid('iat')
  if (issuer.ageMaxS !== undefined && iat + issuer.ageMaxS + SKEW_S <= now / 1_000) throw tokenInvalid('age')
  // Bound to a key that the caller would have to prove; no such proof is taken here.
  if ('cnf' in claims) throw tokenInvalid('cnf')
  return { ...claims, sub, exp, iat }
}

function assertHeader (token: string, issuer: TrustedIssuer): void {
  let header: ReturnType<typeof decodeProtectedHeader>
  try {
    header = decodeProtectedHeader(token)
  } catch {
    throw tokenInvalid('form')
  }
  if (['jku', 'jwk', 'x5u', 'x5c', 'crit'].some(member => member in header)) throw tokenInvalid('header')
  if (typeof header.kid !== 'string') throw tokenInvalid('kid')
  if (typeof header.typ !== 'string' || !issuer.types.includes(plainType(header.typ))) throw tokenInvalid('typ')
}

/** Tells a token without a key from an issuer whose keys cannot be fetched. */
function keysOf ({ keys }: TrustedIssuer): JWTVerifyGetKey {
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys || error instanceof errors.JOSENotSupported) throw tokenInvalid('key')
      throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', 'the keys of the issuer of this token cannot be fetched', { cause: error, retryAfterS: SKEW_S })
    }
  }
}

async function checked (verification: Promise<{ payload: JWTPayload }>): Promise<JWTPayload> {
  try {
    return (await verification).payload
  } catch (error) {
    if (error instanceof ServiceError) throw error
    // The error of the library holds the claims; only its code goes on.
    throw tokenInvalid(error instanceof errors.JOSEError ? error.code : 'verification')
  }
}

function principalOf (claims: Claims, issuer: TrustedIssuer, fhirBase: string): Principal {
  const clientId = [claims['client_id'], claims['azp'], claims['appid']].find(value => typeof value === 'string') ?? ''
  if (issuer.clientAllowList !== undefined && !issuer.clientAllowList.includes(clientId)) throw tokenInvalid('client')
  const { scopes } = parseScopes(scopeList(claims, issuer))
  const patient = claims[issuer.patientClaim]
  const fhirUser = localUser(claims[issuer.fhirUserClaim], fhirBase)
  return {
    subject: `${issuer.issuer}|${claims.sub}`,
    clientId,
    grants: scopes.filter(scope => scope.kind === 'grant'),
    extensions: scopes.filter(scope => scope.kind === 'extension').map(({ name }) => name),
    ...(typeof patient === 'string' && ID.test(patient) ? { patient } : {}),
    ...(fhirUser === undefined ? {} : { fhirUser })
  }
}

function scopeList (claims: Claims, issuer: TrustedIssuer): string {
  const values = issuer.scopeClaims.flatMap(name => claims[name]).filter(value => typeof value === 'string')
  const texts = values.flatMap(value => value.split(' '))
  return (issuer.hasDottedScopes ? texts.map(withSlash) : texts).join(' ')
}

/** `patient.Observation.read` → `patient/Observation.read`: a `/` cannot stand in the scopes of Entra. */
function withSlash (text: string): string {
  const [, context, type, permission] = DOTTED.exec(text) ?? []
  return context === undefined ? text : `${context}/${type === 'all' ? '*' : type}.${permission}`
}

/** A user of another server is nobody here. */
function localUser (claim: unknown, fhirBase: string): string | undefined {
  if (typeof claim !== 'string') return undefined
  const reference = claim.startsWith(`${fhirBase}/`) ? claim.slice(fhirBase.length + 1) : claim
  return FHIR_USER.test(reference) ? reference : undefined
}
