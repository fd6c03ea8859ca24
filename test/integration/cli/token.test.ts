import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tokenVerb } from '../../../src/cli/token.ts'
import { epochMs } from '../../../src/model/units.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6)
let folder: string

beforeAll(() => { folder = temporaryFolder('token') })
afterAll(async () => { await rm(folder, { recursive: true, force: true }) })

async function run (...args: string[]) {
  const out: string[] = []
  const err: string[] = []
  const context = {
    env: { OXBOW_DATA_DIR: join(folder, 'data'), OXBOW_HTTP_PORT: '0' },
    stdout: (text: string) => { out.push(text) },
    stderr: (text: string) => { err.push(text) },
    now: () => epochMs(NOW),
    signal: new AbortController().signal
  }
  return { code: await tokenVerb.run(args, context), out: out.join(''), err: err.join('') }
}

test('the token and nothing else is printed', async () => {
  const { code, out, err } = await run('create', '--scope', '__telemetry.write')
  expect(code).toBe(0)
  // Here no server has made its keys yet: whoever named the wrong folder learns it.
  expect(err).toMatch(/^oxbow token: no server has run on .*OXBOW_DATA_DIR.*\n$/)
  expect(out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
  expect(decodeJwt(out.trim())).toMatchObject({ scope: '__telemetry.write', sub: 'command-line', client_id: 'oxbow-cli', exp: NOW / 1_000 + 3_600 })
})

test('options say for whom and how long', async () => {
  const { out } = await run('create', '--scope', 'patient/*.rs user/*.rs', '--subject', 'app', '--patient', 'p1', '--fhir-user', 'Practitioner/d1', '--ttl', '60')
  expect(decodeJwt(out.trim())).toMatchObject({ sub: 'app', patient: 'p1', fhirUser: 'Practitioner/d1', exp: NOW / 1_000 + 60 })
})

test('--json says when it ends', async () => {
  const { out } = await run('create', '--scope', '__telemetry.write', '--json')
  expect(JSON.parse(out)).toEqual({ token: expect.stringMatching(/^ey/), expiresAt: '2026-02-03T05:05:06.000Z' })
})

test('the key stands beside the data directory, not in it', async () => {
  await run('create', '--scope', '__telemetry.write')
  expect((await stat(join(folder, 'data-keys.tokens.json'))).isFile()).toBe(true)
  await expect(stat(join(folder, 'data'))).rejects.toThrow('ENOENT')
})

test.each([[[]], [['create']], [['make', '--scope', '__telemetry.write']], [['create', 'more', '--scope', '__telemetry.write']], [['create', '--scope', 'nonsense']], [['create', '--scope', 'patient/*.rs']],
  [['create', '--scope', '__telemetry.write', '--ttl', '1h']], [['create', '--scope', '__telemetry.write', '--ttl', '0']]])('wrong use: %j', async args => {
  await expect(run(...args)).rejects.toMatchObject({ code: 'USAGE' })
})

test('an unknown option is wrong use', async () => {
  await expect(run('create', '--scope', '__telemetry.write', '--admin')).rejects.toMatchObject({ code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' })
})
