/** What can be known of docker/compose.yaml without Docker: what it names is there, and means something. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { environmentName, SETTINGS, type SettingName } from '../../src/config/schema.ts'
import { startRefusals } from '../../src/config/start-refusals.ts'
import { parseDockerfile } from '../support/dockerfile.ts'
import { COMPOSE, secretNames } from '../support/compose.ts'

const SERVICES = Object.entries(COMPOSE.services)
const ours = (environment: Record<string, string> = {}) => Object.entries(environment).filter(([name]) => name.startsWith('OXBOW_'))
const settingOf = (variable: string) => (Object.keys(SETTINGS) as SettingName[]).find(name => environmentName(name) === variable)

test('every service runs an image of one version', () => {
  expect(SERVICES.length).toBeGreaterThan(4)
  for (const [name, { image }] of SERVICES) expect(image, name).toMatch(/^[a-z/]+:(\d+\.\d+\.\d+|RELEASE\.\d{4}-)[\w.-]*$/)
  expect(COMPOSE.services['oxbow']!.image).toBe(`oxbow:${(JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version}`)
})

test('every variable of ours is a setting, and a secret where it names a file', () => {
  const variables = SERVICES.flatMap(([, { environment }]) => ours(environment))
  expect(variables.length).toBeGreaterThan(20)
  for (const [variable] of variables) {
    const secret = settingOf(variable.replace(/_FILE$/, ''))
    if (variable.endsWith('_FILE')) expect(SETTINGS[secret!]?.type, variable).toBe('secret')
    else expect(settingOf(variable), variable).toBeDefined()
  }
})

test('with these settings the server may start in production, and the topics may be made', () => {
  const image = Object.fromEntries(parseDockerfile(readFileSync('docker/Dockerfile', 'utf8')).at(-1)!.steps.filter(({ word }) => word === 'ENV')
    .flatMap(({ rest }) => rest.split(/\s+/)).map(pair => pair.split('=') as [string, string]).filter(([name]) => name.startsWith('OXBOW_')))
  const given = Object.fromEntries(ours(COMPOSE.services['oxbow']!.environment).map(([name, value]) =>
    value.startsWith('/run/secrets/') ? [name.replace(/_FILE$/, ''), name.endsWith('_URL_FILE') ? `postgres://a:b@postgres/${name}` : 'secret'] : [name, value]))
  const config = loadConfig({ ...image, ...given })
  expect(config.mode).toBe('production')
  expect(startRefusals(config, config['keys.file'])).toEqual([])
  expect(loadConfig({ ...image, ...COMPOSE.services['topics']!.environment })['kafka.brokers']).toBe('kafka:9092')
})

test('every secret that a service names is declared, every one declared is used, and none is kept with the project', () => {
  const used = new Set(SERVICES.flatMap(([, service]) => secretNames(service)))
  expect([...used].sort()).toEqual(Object.keys(COMPOSE.secrets).sort())
  for (const [name, service] of SERVICES) {
    const files = Object.values(service.environment ?? {}).flatMap(value => /^\/run\/secrets\/(.+)$/.exec(value)?.[1] ?? [])
    expect(files.filter(file => !secretNames(service).includes(file)), name).toEqual([])
  }
  for (const { file } of Object.values(COMPOSE.secrets)) execFileSync('git', ['check-ignore', '--quiet', join('docker', file)])
  expect(readFileSync('.dockerignore', 'utf8').split('\n')).toContain('docker/compose/secrets')
})

test('every file, volume and network that a service names is there, and every volume and network is used', () => {
  const mounts = SERVICES.flatMap(([, { volumes = [] }]) => volumes.map(volume => volume.split(':')[0]!))
  const files = mounts.filter(source => source.startsWith('.'))
  expect(files.map(file => join('docker', file)).filter(file => !existsSync(file))).toEqual([])
  expect([...new Set(mounts.filter(source => !source.startsWith('.')))].sort()).toEqual(Object.keys(COMPOSE.volumes).sort())
  expect([...new Set(SERVICES.flatMap(([, { networks = [] }]) => networks))].sort()).toEqual(Object.keys(COMPOSE.networks).sort())
  const { context, dockerfile } = COMPOSE.services['oxbow']!.build!
  expect(existsSync(join('docker', context, dockerfile))).toBe(true)
  for (const script of ['docker/compose/make-secrets', 'docker/compose/init-postgres.sh']) expect(statSync(script).mode & 0o111, script).not.toBe(0)
})

test('who waits for a service waits until it is well or done: it has a health check or ends', () => {
  for (const [name, { depends_on: needs = {} }] of SERVICES) {
    for (const [needed, { condition }] of Object.entries(needs)) {
      const service = COMPOSE.services[needed]
      expect(service, `${name} needs ${needed}`).toBeDefined()
      if (condition === 'service_healthy') expect(service!.healthcheck, needed).toBeDefined()
      else expect([condition, service!.restart], needed).toEqual(['service_completed_successfully', 'no'])
    }
  }
})

test('databases, broker and objects are reached from inside alone, and by no more than need them', () => {
  expect(SERVICES.flatMap(([, { ports = [] }]) => ports)).toEqual(['127.0.0.1:8080:8080'])
  for (const [name, { networks = [] }] of SERVICES.filter(([service]) => service !== 'oxbow')) expect(networks.every(network => COMPOSE.networks[network]!.internal), name).toBe(true)
  expect(SERVICES.filter(([, { networks = [] }]) => networks.includes('stores')).map(([name]) => name).sort()).toEqual(['oxbow', 'postgres'])
})
