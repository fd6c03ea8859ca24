/** Whose tokens are believed, and how far: takes the setting of an identity provider, gives what the verifier must know of it. */

import { createLocalJWKSet, createRemoteJWKSet, customFetch, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { ExternalIssuer } from '../config/schema.ts'
import { ServiceError } from '../model/errors.ts'
import type { EpochMs } from '../model/units.ts'
import { sendHttp } from '../platform/http-client.ts'

export interface TrustedIssuer {
  /** Exactly as in the claim `iss`. */
  issuer: string
  audience: string
  algorithms: readonly string[]
  /** Lower case, without `application/`. */
  types: readonly string[]
  keys: JWTVerifyGetKey
  /** Claims whose texts or lists of texts are the scopes. */
  scopeClaims: readonly string[]
  patientClaim: string
  fhirUserClaim: string
  /** Client ids that may use its tokens; absent: any. */
  clientAllowList?: readonly string[]
  /** Dotted scopes (`patient.Observation.read`, `user.all.read`) are understood. */
  hasDottedScopes: boolean
  /** Greatest age of a token by its `iat`; absent: as long as it says. */
  ageMaxS?: number
}

export interface ExternalIssuerOptions {
  now: () => EpochMs
  /** Default 1 h. */
  tokenAgeMaxS?: number
  /** How long fetched keys are used; a withdrawn key is refused after that. Default 5 min. */
  keysMaxAgeMs?: number
  /** Least time between two fetches for an unknown key or after a failed fetch. Default 30 s. */
  keysCooldownMs?: number
  /** Default 3 s. */
  keysTimeoutMs?: number
}

const KEY_SET_BYTES_MAX = 64 * 1024
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** @throws ServiceError CONFIG_INVALID where the setting would trust too much */
export function externalIssuer (setting: ExternalIssuer, options: ExternalIssuerOptions): TrustedIssuer {
  if (setting.audience === '' || setting.algorithms.length === 0) throw refused('audience and algorithms must be given')
  if (setting.algorithms.some(algorithm => !/^(ES|RS|PS)\d{3}$/.test(algorithm))) throw refused('only asymmetric algorithms can be trusted')
  return {
    issuer: setting.issuer,
    audience: setting.audience,
    algorithms: setting.algorithms,
    types: (setting.typ ?? ['at+jwt']).map(plainType),
    keys: setting.jwks === undefined ? remoteKeys(setting.jwksUri, options) : inlineKeys(setting.jwks),
    scopeClaims: (setting.scopeClaim ?? 'scope').split(' '),
    patientClaim: setting.patientClaim ?? 'patient',
    fhirUserClaim: setting.fhirUserClaim ?? 'fhirUser',
    ...(setting.clientAllowList === undefined ? {} : { clientAllowList: setting.clientAllowList }),
    hasDottedScopes: true,
    ageMaxS: options.tokenAgeMaxS ?? 3_600
  }
}

/** Media type of a token as RFC 7515 §4.1.9 lets it be spelled. */
export function plainType (typ: string): string { return typ.toLowerCase().replace(/^application\//, '') }

function inlineKeys (jwks: { keys: object[] }): JWTVerifyGetKey {
  if (jwks.keys.some(key => PRIVATE_MEMBERS.some(member => member in key))) throw refused('an inline key set must hold public keys only')
  try {
    return createLocalJWKSet(jwks as JSONWebKeySet)
  } catch {
    throw refused('an inline key set is no JSON Web Key Set')
  }
}

function remoteKeys (uri: string | undefined, options: ExternalIssuerOptions): JWTVerifyGetKey {
  const url = URL.parse(uri ?? '')
  if (url === null || (url.protocol !== 'https:' && !isLoopback(url))) throw refused('jwksUri must be an https address')
  const { keysCooldownMs = 30_000, keysTimeoutMs = 3_000 } = options
  return createRemoteJWKSet(url, {
    cacheMaxAge: options.keysMaxAgeMs ?? 300_000,
    cooldownDuration: keysCooldownMs,
    timeoutDuration: keysTimeoutMs,
    [customFetch]: fetchKeySet(options.now, keysCooldownMs, keysTimeoutMs)
  })
}

/** After a failure nothing is fetched for a while: tokens that cannot be checked must not become requests to the provider. */
function fetchKeySet (now: () => EpochMs, cooldownMs: number, timeoutMs: number): (url: string) => Promise<Response> {
  let nextAt = 0
  return async url => {
    if (now() < nextAt) throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', 'the keys of an issuer could not be fetched a moment ago')
    try {
      const { status, text } = await sendHttp({ method: 'GET', url, headers: { accept: 'application/json' } }, { timeoutMs, responseBytesMax: KEY_SET_BYTES_MAX })
      if (status !== 200) nextAt = now() + cooldownMs
      return new Response(text, { status })
    } catch (error) {
      nextAt = now() + cooldownMs
      throw error
    }
  }
}

function isLoopback (url: URL): boolean {
  return url.protocol === 'http:' && (url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(url.hostname))
}

function refused (message: string): ServiceError {
  return new ServiceError('incorrect', 'CONFIG_INVALID', `auth.issuers: ${message}`)
}
