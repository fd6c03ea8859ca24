import { expect, test } from 'vitest'
import { diskCheck, nodeCheck, privateFileCheck, type PrivateFileParts, type Readiness, serverCheck, settingsCheck } from '../../../../src/cli/doctor/host-checks.ts'

const GIB = 1024 ** 3

test.each([['24.2.0', 'ok'], ['24.21.0', 'ok'], ['25.0.0', 'ok'], ['24.1.9', 'wrong'], ['20.20.2', 'wrong']])('Node %s is %s', async (version, verdict) => {
  expect((await nodeCheck(version).run()).verdict).toBe(verdict)
})

test('every reason for which the start is refused is told', async () => {
  expect((await settingsCheck([]).run()).verdict).toBe('ok')
  expect(await settingsCheck(['one', 'two']).run()).toMatchObject({ verdict: 'wrong', message: 'one; two' })
})

function keyFile (mode: number | undefined, parts: Partial<PrivateFileParts> = {}) {
  return privateFileCheck({ name: 'key file', path: '/var/oxbow-keys.json', dataDir: '/var/oxbow', modeOf: async () => mode, isNeeded: true, loss: 'x', ...parts }).run()
}

test('a key file is readable by its owner alone', async () => {
  expect((await keyFile(0o100600)).verdict).toBe('ok')
  expect(await keyFile(0o100640)).toMatchObject({ verdict: 'wrong', todo: 'chmod 600 /var/oxbow-keys.json' })
})

test('a key file that is missing is wrong once there is data, and made at the first start before', async () => {
  expect((await keyFile(undefined)).verdict).toBe('wrong')
  expect((await keyFile(undefined, { isNeeded: false })).verdict).toBe('note')
})

test('a key file stands outside the data directory, and beside it is outside', async () => {
  expect((await keyFile(0o100600, { path: '/var/oxbow/keys.json' })).verdict).toBe('wrong')
  expect((await keyFile(0o100600, { path: '/var/oxbow-keys.json' })).verdict).toBe('ok')
})

test.each([[77.1 * GIB, 'ok'], [4 * GIB, 'note'], [0.5 * GIB, 'wrong']])('%d bytes free: %s', async (free, verdict) => {
  expect((await diskCheck('/var/oxbow', async () => free).run()).verdict).toBe(verdict)
})

test('a server that is not ready or has alarms is wrong, one that does not run is not', async () => {
  const check = (ready: Partial<Readiness> | undefined) =>
    serverCheck(async () => ready === undefined ? undefined : { status: '', missing: [], alarms: [], address: 'http://127.0.0.1:1', ...ready }).run()
  expect((await check(undefined)).verdict).toBe('note')
  expect((await check({})).verdict).toBe('ok')
  expect((await check({ missing: ['postgres'] })).message).toContain('not ready: postgres')
  expect(await check({ alarms: ['disk-low'] })).toMatchObject({ verdict: 'wrong', todo: expect.stringContaining('make room') })
})
