import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { environmentName, type Setting, SETTINGS } from '../../../src/config/schema.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder: string
beforeAll(() => { folder = temporaryFolder('config') })
afterAll(() => { rmSync(folder, { recursive: true }) })

function fileWith (content: string): string {
  const path = join(folder, 'oxbow.json')
  writeFileSync(path, content)
  return path
}

function problemsOf (run: () => unknown): string {
  try { run() } catch (error) {
    expect(error).toBeInstanceOf(ServiceError)
    expect((error as ServiceError).code).toBe('CONFIG_INVALID')
    return (error as ServiceError).message
  }
  throw new Error('the configuration was accepted')
}

test('without a file and an environment every setting has its default', () => {
  const config = loadConfig({})
  expect(config['http.port']).toBe(8080)
  expect(config['stream.windowSize']).toBe(60_000)
  expect(Object.keys(config).sort()).toEqual(Object.keys(SETTINGS).sort())
  expect(Object.isFrozen(config)).toBe(true)
})

test('the environment beats the file, and the file beats the default', () => {
  const file = fileWith('{"http": {"port": 9000, "host": "::1"}}')
  const config = loadConfig({ OXBOW_HTTP_PORT: '0' }, file)
  expect([config['http.port'], config['http.host']]).toEqual([0, '::1'])
})

test('a flat name and a nested one mean the same', () => {
  expect(loadConfig({}, fileWith('{"stream.lateness": "45s"}'))['stream.lateness']).toBe(45_000)
  expect(loadConfig({}, fileWith('{"stream": {"lateness": 45000}}'))['stream.lateness']).toBe(45_000)
})

test('the object of a json setting is not taken for a group', () => {
  expect(loadConfig({}, fileWith('{"stream": {"windowSizes": {"tissue-po2": 30000}}}'))['stream.windowSizes']).toEqual({ 'tissue-po2': 30_000 })
})

test.each([['250ms', 250], ['30s', 30_000], ['5min', 300_000], ['24h', 86_400_000], ['30d', 2_592_000_000], ['1500', 1_500]])('the duration %s is %d ms', (given, ms) => {
  expect(loadConfig({ OXBOW_STREAM_LATENESS: given })['stream.lateness']).toBe(ms)
})

test.each([['65536', 65_536], ['64KiB', 65_536], ['10MiB', 10_485_760]])('the size %s is %d bytes', (given, bytes) => {
  expect(loadConfig({ OXBOW_INGEST_BODY_MAX: given })['ingest.bodyMax']).toBe(bytes)
})

test('every problem is reported at once, by name and never by value', () => {
  const message = problemsOf(() => loadConfig({ OXBOW_HTTP_PORT: '70000', OXBOW_MODE: 'hunter2', OXBOW_STREAM_LATENESS: 'soon', OXBOW_HTTTP_PORT: '1' }))
  for (const name of ['http.port', 'mode', 'stream.lateness', 'OXBOW_HTTTP_PORT']) expect(message).toContain(name)
  for (const value of ['70000', 'hunter2', 'soon']) expect(message).not.toContain(value)
})

test('a window is of one second to one day', () => {
  for (const size of ['0', '999ms', '2d']) expect(problemsOf(() => loadConfig({ OXBOW_STREAM_WINDOW_SIZE: size }))).toContain('stream.windowSize')
  expect(loadConfig({ OXBOW_STREAM_WINDOW_SIZE: '1d' })['stream.windowSize']).toBe(86_400_000)
})

test.each(['null', 'true', '[]', '""'])('%s is no number', given => {
  expect(problemsOf(() => loadConfig({}, fileWith(`{"http.port": ${given}}`)))).toContain('http.port')
})

test('a threshold of the deficit without author or rationale is refused', () => {
  const message = problemsOf(() => loadConfig({ OXBOW_STREAM_DEFICITS: '[{"metric":"tissue-po2","threshold":25,"unit":"mm[Hg]"}]' }))
  expect(message).toContain('author')
  expect(message).toContain('rationale')
})

test('a secret is read from the file its _FILE variable names', () => {
  const path = join(folder, 'secret')
  writeFileSync(path, 'postgres://user:word@host/db\n')
  expect(loadConfig({ OXBOW_POSTGRES_SERIES_URL_FILE: path })['postgres.seriesUrl']).toBe('postgres://user:word@host/db')
})

test('a secret given twice, or in a file that cannot be read, is refused without its value', () => {
  const twice = problemsOf(() => loadConfig({ OXBOW_POSTGRES_SERIES_URL: 'canary', OXBOW_POSTGRES_SERIES_URL_FILE: '/nowhere' }))
  expect(twice).toContain('postgres.seriesUrl')
  expect(twice).not.toContain('canary')
  expect(problemsOf(() => loadConfig({ OXBOW_POSTGRES_SERIES_URL_FILE: join(folder, 'missing') }))).toContain('postgres.seriesUrl')
})

test('a file that is no JSON object is refused', () => {
  expect(problemsOf(() => loadConfig({}, fileWith('[1]')))).toContain('configuration file')
  expect(problemsOf(() => loadConfig({}, fileWith('{')))).toContain('configuration file')
})

test('a name in the file that is no setting is refused by name', () => {
  expect(problemsOf(() => loadConfig({}, fileWith('{"http": {"prot": 1}}')))).toContain('http.prot')
})

test('every setting has its own environment name', () => {
  const names = Object.keys(SETTINGS).map(environmentName)
  expect(new Set(names).size).toBe(names.length)
})

test('the example of each json setting is one that is taken', () => {
  const examples = Object.entries(SETTINGS as Record<string, Setting>).filter(([, { type }]) => type === 'json').map(([name, { example }]) => [name, example])
  expect(examples.every(([, example]) => example !== undefined)).toBe(true)
  const config = loadConfig({}, fileWith(JSON.stringify(Object.fromEntries(examples))))
  for (const [name, example] of examples) expect(config[name as 'stream.deficits']).toEqual(example)
})
