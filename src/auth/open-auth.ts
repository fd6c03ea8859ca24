/** Settings → the verifier of every token that is accepted here: our own and those of the configured identity providers. */

import type { Config } from '../config/schema.ts'
import type { EpochMs } from '../model/units.ts'
import { createLocalIssuer, localAddresses, localTokenKeyFile } from './local-issuer.ts'
import { externalIssuer } from './trusted-issuer.ts'
import { createTokenVerifier, type VerifyToken } from './verify-token.ts'

/** @param keyFile of the local key ring; the token keys stand beside it. @throws ServiceError KEY_FILE, CONFIG_INVALID */
export async function openVerifier (config: Config, keyFile: string, now: () => EpochMs): Promise<VerifyToken> {
  const publicUrl = config['http.publicUrl']
  const local = await createLocalIssuer({ file: localTokenKeyFile(keyFile), publicUrl, now })
  const external = config['auth.issuers'].map(setting => externalIssuer(setting, { now }))
  return createTokenVerifier({ issuers: [local.trusted, ...external], fhirBase: localAddresses(publicUrl).audience, now })
}
