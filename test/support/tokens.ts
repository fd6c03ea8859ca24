/** Signing keys and tokens of any shape, for tests of what must be accepted and what must not. */

import { type CryptoKey, createLocalJWKSet, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { TrustedIssuer } from '../../src/auth/trusted-issuer.ts'

export const NOW = Date.UTC(2026, 1, 3, 4, 5, 6)
export const NOW_S = NOW / 1_000

export interface Signer {
  publicJwk: JWK
  privateKey: CryptoKey
  /** Signs a good token, changed as told; a claim or header member given as `undefined` is left out. */
  token (claims?: object, header?: Record<string, unknown>): Promise<string>
}

/** A key of `issuer` and tokens it would sign. */
export async function createSigner (issuer: string, audience: string, options: { alg?: string, kid?: string } = {}): Promise<Signer> {
  const { alg = 'ES384', kid = 'key-1' } = options
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const base = { iss: issuer, aud: audience, sub: 'sensor-gateway', client_id: 'gateway', scope: '__telemetry.write', iat: NOW_S - 10, exp: NOW_S + 300 }
  return {
    publicJwk: { ...await exportJWK(publicKey), kid, alg },
    privateKey,
    token: (claims = {}, header = {}) => new SignJWT({ ...base, ...claims }).setProtectedHeader(withoutAbsent({ alg, typ: 'at+jwt', kid, ...header })).sign(privateKey)
  }
}

/** An issuer that trusts these keys, with the settings of a local one. */
export function trusting (issuer: string, audience: string, keys: readonly JWK[], changes: Partial<TrustedIssuer> = {}): TrustedIssuer {
  return {
    issuer, audience, algorithms: ['ES384'], types: ['at+jwt'], keys: createLocalJWKSet({ keys: [...keys] }), scopeClaims: ['scope'], patientClaim: 'patient', fhirUserClaim: 'fhirUser',
    hasDottedScopes: false, ...changes
  }
}

/** A token whose header and claims are as given, with `signature` behind them. */
export function rawToken (header: object, claims: object, signature = ''): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(claims)}.${signature}`
}

function withoutAbsent (header: Record<string, unknown>): { alg: string } {
  return Object.fromEntries(Object.entries(header).filter(([, value]) => value !== undefined)) as { alg: string }
}
