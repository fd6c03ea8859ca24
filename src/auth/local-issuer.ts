/** Our own tokens: takes a key file and what a token shall open, gives the token; and what the verifier must know to believe it. */

import { randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, createLocalJWKSet, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import { ServiceError } from '../model/errors.ts'
import type { EpochMs } from '../model/units.ts'
import { createPrivateFile, keyFileError, readPrivateFile } from '../platform/keys/private-file.ts'
import { parseScopes, type Scope } from './scope.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

export interface LocalIssuerOptions {
  /** Signing keys, mode 0600, outside the data directory; made at the first use. See `localTokenKeyFile`. */
  file: string
  /** Address under which clients reach this server, without a trailing slash; `''` when it is not known. */
  publicUrl: string
  now: () => EpochMs
}

export interface TokenRequest {
  /** Space-separated. */
  scope: string
  subject: string
  clientId: string
  /** Logical id. */
  patient?: string
  /** `Practitioner/…`, `Patient/…` */
  fhirUser?: string
  ttlS: number
}

export interface LocalIssuer {
  trusted: TrustedIssuer
  /** @throws ServiceError incorrect USAGE naming each scope that is outside the grammar or lacks its context */
  issue (request: TokenRequest): Promise<string>
}

const ALGORITHM = 'ES384'
const TYPE = 'at+jwt'
/** Most a token may hold, so that it fits into a request header. */
const SCOPE_LENGTH_MAX = 4_096
const TTL_MAX_S = 10 * 365 * 86_400

type StoredKey = JWK & { kid: string }

/** The file of the token keys beside that of the local key ring. */
export function localTokenKeyFile (keyRingFile: string): string { return `${keyRingFile.replace(/\.json$/, '')}.tokens.json` }

/** Issuer and audience of local tokens. They are the same for a server on any port unless it has a public address: a token made by
 *  the command line must open a server that took a free port. The key says whose it is. */
export function localAddresses (publicUrl: string): { issuer: string, audience: string } {
  const base = publicUrl === '' ? 'http://localhost' : publicUrl.replace(/\/+$/, '')
  return { issuer: `${base}/auth`, audience: `${base}/fhir` }
}

/** @throws ServiceError KEY_FILE */
export async function createLocalIssuer (options: LocalIssuerOptions): Promise<LocalIssuer> {
  const keys = await loadKeys(options.file)
  const { issuer, audience } = localAddresses(options.publicUrl)
  const [newest] = keys
  const signingKey = await importJWK(newest!, ALGORITHM).catch((cause: unknown) => { throw keyFileError('a token key is damaged', cause) })
  return {
    trusted: {
      issuer,
      audience,
      algorithms: [ALGORITHM],
      types: [TYPE],
      keys: createLocalJWKSet({ keys: keys.map(publicPart) }),
      scopeClaims: ['scope'],
      patientClaim: 'patient',
      fhirUserClaim: 'fhirUser',
      hasDottedScopes: false
    },
    issue: async request => {
      assertRequest(request)
      const iat = Math.floor(options.now() / 1_000)
      const { patient, fhirUser } = request
      return new SignJWT({ scope: scopesOf(request), client_id: request.clientId, ...(patient === undefined ? {} : { patient }), ...(fhirUser === undefined ? {} : { fhirUser }) })
        .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: newest!.kid })
        .setIssuer(issuer).setAudience(audience).setSubject(request.subject).setJti(randomUUID())
        .setIssuedAt(iat).setExpirationTime(iat + request.ttlS)
        .sign(signingKey)
    }
  }
}

/** First the one that signs. */
async function loadKeys (file: string): Promise<readonly StoredKey[]> {
  const text = await readPrivateFile(file) ?? await createPrivateFile(file, await newKeySet())
  const keys = parseKeys(text)
  if (keys.length === 0 || keys.some(key => key.kty !== 'EC' || key.crv !== 'P-384' || typeof key.d !== 'string' || typeof key.kid !== 'string')) {
    throw keyFileError('the file of the token keys does not hold ES384 keys')
  }
  return keys as StoredKey[]
}

function parseKeys (text: string): readonly JWK[] {
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown }
    return Array.isArray(keys) ? keys : []
  } catch {
    // The syntax error quotes the text, which is a key.
    throw keyFileError('the file of the token keys is not JSON')
  }
}

async function newKeySet (): Promise<string> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true })
  const jwk = await exportJWK(privateKey)
  return `${JSON.stringify({ keys: [{ ...jwk, alg: ALGORITHM, use: 'sig', kid: await calculateJwkThumbprint(jwk) }] }, null, 2)}\n`
}

function publicPart ({ kty, crv, x, y, kid }: StoredKey): JWK {
  return { kty, crv, x, y, kid, alg: ALGORITHM, use: 'sig' } as JWK
}

function scopesOf ({ scope }: TokenRequest): string { return scope.split(' ').filter(part => part !== '').join(' ') }

function assertRequest (request: TokenRequest): void {
  const { scopes, dropped } = parseScopes(request.scope)
  if (dropped.length > 0) throw usage(`no such scope: ${dropped.join(' ')}`)
  if (scopes.length === 0) throw usage('a token needs at least one scope')
  if (request.scope.length > SCOPE_LENGTH_MAX) throw usage(`the scopes are longer than ${SCOPE_LENGTH_MAX} characters`)
  if (inContext(scopes, 'patient') && request.patient === undefined) throw usage('scopes that begin with patient/ need a patient')
  if (inContext(scopes, 'user') && request.fhirUser === undefined) throw usage('scopes that begin with user/ need a FHIR user')
  if (request.patient !== undefined && !/^[A-Za-z0-9.-]{1,64}$/.test(request.patient)) throw usage('the patient must be the logical id of a Patient')
  if (request.fhirUser !== undefined && !/^(Practitioner|PractitionerRole|Patient)\/[A-Za-z0-9.-]{1,64}$/.test(request.fhirUser)) {
    throw usage('the FHIR user must be Practitioner/ID, PractitionerRole/ID or Patient/ID')
  }
  if (!Number.isSafeInteger(request.ttlS) || request.ttlS < 1 || request.ttlS > TTL_MAX_S) throw usage(`the life of a token must be 1 to ${TTL_MAX_S} seconds`)
  if (request.subject === '') throw usage('a token needs a subject')
}

function inContext (scopes: readonly Scope[], context: 'patient' | 'user'): boolean {
  return scopes.some(scope => scope.kind === 'grant' && scope.context === context)
}

function usage (message: string): ServiceError { return new ServiceError('incorrect', 'USAGE', message) }
