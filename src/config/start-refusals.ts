/** Settings → why a server may not start with them. */

import { sep } from 'node:path'
import { ServiceError } from '../model/errors.ts'
import type { Config } from './schema.ts'

/** @param keyFile of the local key ring. @throws ServiceError CONFIG_INVALID with every reason at once */
export function assertMayStart (config: Config, keyFile: string): void {
  const refusals = startRefusals(config, keyFile)
  if (refusals.length > 0) throw new ServiceError('incorrect', 'CONFIG_INVALID', `the start is refused:\n${refusals.map(text => `  ${text}`).join('\n')}`)
}

/** Off loopback and in production nothing unsafe starts unless it is allowed by name: every reason against these settings. */
export function startRefusals (config: Config, keyFile: string): string[] {
  const isLoopback = ['127.0.0.1', '::1', 'localhost'].includes(config['http.host'])
  const isProduction = config.mode === 'production'
  return [
    ...(!isLoopback && config['http.allowPlain'] === 'no' ? ['http.host is off loopback and http.allowPlain is no: put a proxy that speaks TLS in front and allow it by name'] : []),
    ...((isProduction || !isLoopback) && config['keys.allowLocal'] === 'no' ? ['the local key ring is refused in production and off loopback unless keys.allowLocal is yes'] : []),
    ...((isProduction || !isLoopback) && config.demo === 'on' ? ['demonstration data are refused in production and off loopback: set demo to off'] : []),
    ...(keyFile.startsWith(`${config.dataDir}${sep}`) ? ['keys.file lies inside dataDir: whoever copies the data would copy the keys'] : [])
  ]
}
