/** Settings → how the cluster is reached. */

import { readFileSync } from 'node:fs'
import type { Config, SettingName } from '../../../config/schema.ts'
import { kafkaBrokers } from '../../../config/start-refusals.ts'
import { ServiceError } from '../../../model/errors.ts'
import { sendHttp } from '../../http-client.ts'
import type { KafkaConnection } from './client.ts'

/** @throws ServiceError incorrect CONFIG_INVALID when a file that the settings name cannot be read */
export function kafkaConnectionOf (config: Config): KafkaConnection {
  return {
    brokers: kafkaBrokers(config),
    ...(config['kafka.tls'] === 'on' ? { tls: tlsOf(config) } : {}),
    ...(config['kafka.sasl'] === 'none' ? {} : { sasl: saslOf(config, config['kafka.sasl']) })
  }
}

function tlsOf (config: Config): NonNullable<KafkaConnection['tls']> {
  return { ...pem(config, 'kafka.caFile', 'ca'), ...pem(config, 'kafka.certFile', 'cert'), ...pem(config, 'kafka.keyFile', 'key') }
}

function pem (config: Config, name: SettingName, as: 'ca' | 'cert' | 'key'): Record<string, string> {
  const file = config[name] as string
  if (file === '') return {}
  try {
    return { [as]: readFileSync(file, 'utf8') }
  } catch (error) {
    throw new ServiceError('incorrect', 'CONFIG_INVALID', `${name} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}

function saslOf (config: Config, mechanism: Exclude<Config['kafka.sasl'], 'none'>): NonNullable<KafkaConnection['sasl']> {
  if (mechanism !== 'oauthbearer') return { mechanism, username: config['kafka.username'], password: config['kafka.password'] }
  return {
    mechanism,
    token: createTokenSource({ url: config['kafka.tokenUrl'], clientId: config['kafka.username'], secret: config['kafka.password'], scope: config['kafka.tokenScope'], now: () => performance.now() })
  }
}

export interface TokenSourceOptions {
  url: string
  clientId: string
  secret: string
  /** Empty: none is asked for. */
  scope: string
  /** A clock in ms that never goes back. */
  now: () => number
}

const LIMITS = { timeoutMs: 10_000, responseBytesMax: 64 * 1024 }
/** A token is asked for anew so long before it ends. */
const MARGIN_MS = 30_000
const LIFETIME_DEFAULT_S = 60

/** Tokens by client credentials (RFC 6749, 4.4), kept while they are valid. */
export function createTokenSource ({ url, clientId, secret, scope, now }: TokenSourceOptions): () => Promise<string> {
  let held: { token: string, until: number } | undefined
  async function fetchToken (): Promise<string> {
    const form = new URLSearchParams({ grant_type: 'client_credentials', ...(scope === '' ? {} : { scope }) })
    const basic = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`).toString('base64')
    const { status, text } = await sendHttp({
      method: 'POST', url, body: form.toString(), headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    }, LIMITS)
    if (status !== 200) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', `kafka.tokenUrl answered ${status}`)
    const answer = tokenOf(text)
    held = { token: answer.access_token, until: now() + (answer.expires_in ?? LIFETIME_DEFAULT_S) * 1_000 - MARGIN_MS }
    return held.token
  }
  return async () => held !== undefined && now() < held.until ? held.token : fetchToken()
}

function tokenOf (text: string): { access_token: string, expires_in?: number } {
  try {
    const answer = JSON.parse(text) as { access_token?: unknown, expires_in?: number }
    if (typeof answer.access_token === 'string') return answer as { access_token: string }
  } catch { /* as one without a token */ }
  throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'kafka.tokenUrl gave no access_token')
}
