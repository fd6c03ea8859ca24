/** Mistakes of users end with one line and exit code 2, whatever verb they are made with. */

import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runVerb } from '../../../src/cli/run-verb.ts'
import { VERSION } from '../../../src/config/product.ts'
import { epochMs } from '../../../src/model/units.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder: string
let address: string
const server = createServer((request, response) => {
  request.resume().on('end', () => {
    const isTelemetry = request.url === '/ingest/telemetry'
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(isTelemetry ? { received: 2, accepted: 0, quarantined: 2, rejected: [{ index: 0, reason: 'device-unknown' }, { index: 1, reason: 'device-unknown' }], fields: [] } : {}))
  })
})

beforeAll(async () => {
  folder = temporaryFolder('wrong-use')
  await writeFile(join(folder, 'data.csv'), 'time,po2\n2026-02-06T13:17:13Z,41\n2026-02-06T13:17:14Z,42\n')
  await writeFile(join(folder, 'map.json'), JSON.stringify({ model: 'Oxbow/SIMULATOR-1', time: { column: 'time', form: 'iso' }, metrics: { 'tissue-po2': 'po2' } }))
  await writeFile(join(folder, 'settings.json'), JSON.stringify({ demo: 'off' }))
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true, force: true })
})

async function say (words: readonly string[], isTerminal = false) {
  const out: string[] = []
  const err: string[] = []
  const code = await runVerb(words, {
    env: { OXBOW_DATA_DIR: join(folder, 'data') },
    stdout: text => { out.push(text) },
    stderr: text => { err.push(text) },
    isTerminal,
    now: () => epochMs(Date.now()),
    signal: new AbortController().signal
  })
  return { code, out: out.join(''), err: err.join('') }
}

const at = (name: string): string => join(folder, name)
const replay = (...more: string[]): string[] => ['replay', at('data.csv'), '--columns', at('map.json'), '--device', 'd', '--url', address, ...more]

test.each([
  ['a file that is not there', () => ['replay', at('none.csv'), '--device', 'd'], 'FILE cannot be read: there is no such file'],
  ['a folder', () => ['replay', folder, '--device', 'd'], 'FILE cannot be read: it is a directory'],
  ['a column map that is not there', () => ['replay', at('data.csv'), '--columns', at('none.json')], '--columns cannot be read: there is no such file'],
  ['a column map that is no JSON', () => ['replay', at('data.csv'), '--columns', at('data.csv')], '--columns is no JSON'],
  ['a token file that is not there', () => replay('--token-file', at('none')), '--token-file cannot be read: there is no such file'],
  ['an address that is none', () => replay('--url', 'here'), '--url must be an address'],
  ['an address of another protocol', () => ['simulate', '--url', 'ftp://example.org'], '--url must be an address'],
  ['an address at which nobody answers', () => ['simulate', '--url', 'http://127.0.0.1:1'], 'no server answers at the address of --url'],
  ['too many devices', () => ['simulate', '--devices', '1000000'], '--devices must be a whole number from 1 to 10000'],
  ['too many readings', () => ['simulate', '--devices', '10000', '--rate', '11'], 'at most 100000 readings a second'],
  ['a share above 1', () => ['simulate', '--late', '1.5'], '--late must be a number from 0 to 1'],
  ['a negative number', () => ['simulate', '--seconds', '-3'], '--seconds must be a number from 0'],
  ['a negative limit', () => ['quarantine', 'list', '--limit', '-3'], '--limit must be a whole number from 1'],
  ['a life without end', () => ['token', 'create', '--scope', '__telemetry.write', '--ttl', '315360001'], 'the life of a token must be 1 to 315360000 seconds'],
  ['a settings file that is not there', () => ['token', 'create', '--scope', '__telemetry.write', '--config', at('none.json')], 'configuration file: cannot be read']
])('%s', async (_what, words, message) => {
  const { code, out, err } = await say(words())
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain(message)
  expect(err).not.toMatch(/\n\s+at /)
})

test('what was quarantined is told by reason, and ends with 1', async () => {
  const plain = await say(replay())
  expect(plain).toEqual({ code: 1, out: 'sent 2, accepted 0, quarantined 2\n', err: 'oxbow replay: readings quarantined: 2 device-unknown\n' })
  const json = await say(replay('--json'))
  expect(JSON.parse(json.out)).toMatchObject({ quarantined: 2, reasons: { 'device-unknown': 2 } })
  const simulated = await say(['simulate', '--url', address, '--devices', '2', '--seconds', '1', '--late', '0', '--duplicates', '0'])
  expect(simulated).toMatchObject({ code: 1, out: 'sent 2, accepted 0, quarantined 2\n' })
  expect(simulated.err).toContain('--register makes them known')
})

test('progress is shown to a terminal only', async () => {
  expect((await say(replay())).err).not.toContain('[###')
  expect((await say(replay(), true)).err).toContain('[###')
})

test('a settings file is taken by every verb that reads settings', async () => {
  expect((await say(['token', 'create', '--scope', '__telemetry.write', '--config', at('settings.json')])).code).toBe(0)
  expect((await say(replay('--config', at('settings.json')))).code).toBe(1)
})

test('the version is told', async () => {
  expect(await say(['--version'])).toEqual({ code: 0, out: `${VERSION}\n`, err: '' })
})

test.each([
  ['held'], ['archive', 'verify'], ['archive', 'parquet', 'list'], ['quarantine', 'list'], ['schema', 'list'], ['reprocess', '--from', '2026-03-01T00:00:00Z', '--to', '2026-03-02T00:00:00Z']
].map(words => [words.join(' '), words] as const))('%s makes no deployment to look at where there is none', async (_name, words) => {
  const { code, out, err } = await say(words)
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(`there are no data below ${join(folder, 'data')}`)
  expect(readdirSync(folder).filter(name => name === 'data' || name === 'data-keys.json')).toEqual([])
})
