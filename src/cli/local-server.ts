/** The server of this machine, as a verb finds it: its address from the data directory, a token from its own key. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLocalIssuer, localTokenKeyFile } from '../auth/local-issuer.ts'
import type { Config } from '../config/schema.ts'
import { keyFileOf } from '../platform/keys/key-file.ts'
import { givenUrl, readGivenFile, wrongUse } from './given.ts'
import type { CliContext } from './verb.ts'

const TOKEN_TTL_S = 600

function addressFile (config: Config): string { return join(config.dataDir, 'server.json') }

/** Makes the data directory where nothing else has: with an external PostgreSQL this file is all that stands there. */
export async function recordAddress (config: Config, address: string): Promise<void> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  await writeFile(addressFile(config), `${JSON.stringify({ address })}\n`)
}

export async function forgetAddress (config: Config): Promise<void> { await rm(addressFile(config), { force: true }) }

/** @throws ServiceError USAGE when no server has written its address to the data directory */
export async function serverAddress (config: Config): Promise<string> {
  try {
    return (JSON.parse(await readFile(addressFile(config), 'utf8')) as { address: string }).address
  } catch {
    throw wrongUse('no server runs on this data directory: start one with npm start, or name another with --url')
  }
}

const REACH_TIMEOUT_MS = 10_000

/** The address given, or that of the server on this machine, once a server has answered there. @throws ServiceError USAGE when none does */
export async function reachServer (url: string | undefined, config: Config, signal: AbortSignal): Promise<string> {
  const address = url === undefined ? await serverAddress(config) : givenUrl(url)
  try {
    await (await fetch(new URL('/health/live', address), { signal: AbortSignal.any([signal, AbortSignal.timeout(REACH_TIMEOUT_MS)]) })).arrayBuffer()
  } catch {
    throw wrongUse(url === undefined ? 'no server answers on this machine: start one with npm start, or name another with --url' : 'no server answers at the address of --url')
  }
  return address
}

/** Gives a token whenever one is needed: from a file, or issued here and renewed before it ends. */
export function localTokens (config: Config, context: Pick<CliContext, 'now'>, scope: string, tokenFile?: string): () => Promise<string> {
  if (tokenFile !== undefined) return async () => (await readGivenFile(tokenFile, '--token-file')).trim()
  let token = ''
  let renewAt = 0
  return async () => {
    if (context.now() < renewAt) return token
    const issuer = await createLocalIssuer({ file: localTokenKeyFile(keyFileOf(config)), publicUrl: config['http.publicUrl'], now: context.now })
    token = await issuer.issue({ scope, subject: 'command-line', clientId: 'oxbow-cli', ttlS: TOKEN_TTL_S })
    renewAt = context.now() + TOKEN_TTL_S * 500
    return token
  }
}
