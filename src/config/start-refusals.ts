/** Settings → why a server may not start with them. */

import { sep } from 'node:path'
import { ServiceError } from '../model/errors.ts'
import { STREAMS } from '../model/streams.ts'
import { type Config, type SettingName, WRAPPING_KEYS } from './schema.ts'

/** @param keyFile of the local key ring. @throws ServiceError CONFIG_INVALID with every reason at once */
export function assertMayStart (config: Config, keyFile: string): void {
  const refusals = startRefusals(config, keyFile)
  if (refusals.length > 0) throw new ServiceError('incorrect', 'CONFIG_INVALID', `the start is refused:\n${refusals.map(text => `  ${text}`).join('\n')}`)
}

/** Off loopback and in production nothing unsafe starts unless it is allowed by name: every reason against these settings. */
export function startRefusals (config: Config, keyFile: string): string[] {
  const isLoopback = isOnLoopback(config['http.host'])
  const isProduction = config.mode === 'production'
  return [
    ...(!isLoopback && config['http.allowPlain'] === 'no' ? ['http.host is off loopback and http.allowPlain is no: put a proxy that speaks TLS in front and allow it by name'] : []),
    ...(config['keys.kind'] === 'local' && (isProduction || !isLoopback) && config['keys.allowLocal'] === 'no' ? ['the local key ring is refused in production and off loopback unless keys.allowLocal is yes'] : []),
    ...((isProduction || !isLoopback) && config.demo === 'on' ? ['demonstration data are refused in production and off loopback: set demo to off'] : []),
    ...(config.roles === 'stream' && config['bus.kind'] === 'embedded' ? ['roles is stream and bus.kind is embedded: servers share the work through Kafka, set bus.kind to kafka'] : []),
    ...kafkaRefusals(config, isProduction),
    ...kmsRefusals(config, isProduction),
    ...rateRefusals(config),
    ...s3Refusals(config, isProduction),
    ...registryRefusals(config, isProduction),
    ...(keyFile.startsWith(`${config.dataDir}${sep}`) ? ['keys.file lies inside dataDir: whoever copies the data would copy the keys'] : [])
  ]
}

function kafkaRefusals (config: Config, isProduction: boolean): string[] {
  const users = [
    ...(config['bus.kind'] === 'kafka' ? ['bus.kind is kafka'] : []), ...(config['ingest.topics'].length > 0 ? ['ingest.topics names a topic'] : []),
    ...(config['egress.destinations'].some(({ kind }) => kind === 'kafka') ? ['egress.destinations name a topic'] : [])
  ]
  if (users.length === 0) return []
  const brokers = kafkaBrokers(config)
  const isPlain = config['kafka.tls'] === 'off' && config['kafka.allowPlain'] === 'no'
  const lacks = lacksOf(config)
  return [
    ...(brokers.length === 0 ? [`${users.join(' and ')}, and kafka.brokers names none`] : []),
    ...(brokers.some(broker => !BROKER.test(broker)) ? ['kafka.brokers: each must be host:port'] : []),
    ...(isProduction && isPlain && !brokers.every(broker => isOnLoopback(broker.replace(/:\d+$/, '')))
      ? ['kafka.tls is off in production for brokers off loopback, and kafka.allowPlain is no'] : []),
    ...lacks('kafka.keyFile', config['kafka.certFile'] !== ''),
    ...lacks('kafka.certFile', config['kafka.keyFile'] !== ''),
    ...lacks('kafka.username', config['kafka.sasl'] !== 'none'),
    ...lacks('kafka.password', config['kafka.sasl'] !== 'none'),
    ...lacks('kafka.tokenUrl', config['kafka.sasl'] === 'oauthbearer'),
    ...inletRefusals(config)
  ]
}

function inletRefusals (config: Config): string[] {
  const names = config['ingest.topics'].map(({ topic }) => topic)
  const own = new Set(STREAMS.map(({ topic }) => config['kafka.topicPrefix'] + topic))
  return [...new Set(names)].flatMap(name => [
    ...(names.filter(other => other === name).length > 1 ? [`ingest.topics names ${name} more than once: one reader of a topic leaves nothing for another`] : []),
    ...(own.has(name) ? [`ingest.topics names ${name}, a topic of Oxbow's own`] : [])
  ])
}

function kmsRefusals (config: Config, isProduction: boolean): string[] {
  if (config['keys.kind'] !== 'kms') return []
  const missing = WRAPPING_KEYS.filter(name => config['kms.keys'][name] === undefined)
  return [
    ...(missing.length > 0 ? [`keys.kind is kms and kms.keys names no key for ${missing.join(', ')}`] : []),
    ...serviceRefusals(config, 'kms', isProduction)
  ]
}

function s3Refusals (config: Config, isProduction: boolean): string[] {
  if (config['archive.store'] !== 's3') return []
  return [...lacksOf(config)('s3.bucket', true), ...serviceRefusals(config, 's3', isProduction)]
}

/** Of a service that speaks an API of AWS, by its settings `<room>.endpoint`, `.accessKeyId` and `.secretAccessKey`. */
function serviceRefusals (config: Config, room: 'kms' | 's3', isProduction: boolean): string[] {
  const lacks = lacksOf(config)
  return [
    ...endpointRefusals(`${room}.endpoint`, config[`${room}.endpoint`], isProduction),
    ...lacks(`${room}.accessKeyId`, config[`${room}.secretAccessKey`] !== ''),
    ...lacks(`${room}.secretAccessKey`, config[`${room}.accessKeyId`] !== '')
  ]
}

function endpointRefusals (name: SettingName, endpoint: string, isProduction: boolean): string[] {
  if (endpoint === '') return []
  const url = URL.parse(endpoint)
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return [`${name} must be an address that begins with https:// or http://`]
  return isProduction && url.protocol === 'http:' && !isOnLoopback(url.hostname) ? [`${name} is plain HTTP off loopback, which is refused in production`] : []
}

function lacksOf (config: Config): (name: SettingName, when: boolean) => string[] {
  return (name, when) => when && config[name] === '' ? [`${name} is missing`] : []
}

function rateRefusals (config: Config): string[] {
  const names = ['ingest.ratePerGateway', 'ingest.ratePerDevice'] as const
  return names.filter(name => (config[name]?.burst ?? Number.POSITIVE_INFINITY) < config['ingest.recordsMax'])
    .map(name => `${name}: burst is below ingest.recordsMax, a full request could not come through: raise the one or lower the other`)
}

function registryRefusals (config: Config, isProduction: boolean): string[] {
  const setting = config['schemas.registry']
  if (setting === 'built-in') return []
  const url = URL.parse(setting)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '') {
    return ['schemas.registry must be built-in, or an http(s) address without user and query']
  }
  return [
    ...(isProduction && url.protocol === 'http:' && !isOnLoopback(url.hostname) ? ['schemas.registry is plain HTTP off loopback in production: use https'] : []),
    ...(config['schemas.token'] !== '' && config['schemas.username'] !== '' ? ['schemas.token and schemas.username are both set: set one'] : [])
  ]
}

const BROKER = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/

/** Addresses in `kafka.brokers`. */
export function kafkaBrokers (config: Config): string[] {
  return config['kafka.brokers'].split(',').map(broker => broker.trim()).filter(broker => broker !== '')
}

function isOnLoopback (host: string): boolean { return ['127.0.0.1', '::1', '[::1]', 'localhost'].includes(host) }
