/** The harness itself: a wrong result ends it with 1 and leaves no figure behind; verdicts do not. */

import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createContext } from '../../bench/bench-context.ts'
import { WrongResult } from '../../bench/counts.ts'
import { createLoad, type LoadResult } from '../../bench/load/load-run.ts'
import { startLoad } from '../../bench/load/load-process.ts'
import type { LoadPlan } from '../../bench/load/plan.ts'
import { parseOptions } from '../../bench/options.ts'
import { assertResult, type BenchGroup, runBench } from '../../bench/run-bench.ts'
import { assertAnswers } from '../../bench/stand.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder: string
beforeEach(() => { folder = temporaryFolder('bench') })
afterEach(async () => { await rm(folder, { recursive: true }) })

const NOW = Date.UTC(2026, 10, 24)
const SETTINGS = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', shared_buffers: '256MB', max_wal_size: '4GB', wal_level: 'replica' }

async function runGroups (groups: readonly BenchGroup[], args: readonly string[] = []) {
  const said: string[] = []
  const context = createContext(parseOptions(args)!, folder, { now: () => NOW, say: () => {} })
  context.settings = SETTINGS
  const code = await runBench({
    groups, context, folder, resultsFolder: join(folder, 'results'), print: line => { said.push(line) }, fail: line => { said.push(line) }
  })
  return { code, said, results: await readdir(join(folder, 'results')).catch(() => []) }
}

const against = { kind: 'limit', name: 'copy-binary-10000', value: 100 } as const
const SLOW: BenchGroup = { bars: ['P1j', 'P1a'], run: async () => ({ P1j: { ours: 1, against, ratio: 0.01 }, P1a: { ours: 1, against, rejected: true } }) }

test('bars far below their floor end with 0, and stand in a file that its schema allows', async () => {
  const { code, said, results } = await runGroups([SLOW])
  expect(code).toBe(0)
  expect(said.find(line => line.startsWith('P1j'))).toMatch(/SHORT$/)
  expect(said.find(line => line.startsWith('P1a'))).toMatch(/rejected$/)
  expect(said.find(line => line.startsWith('P7'))).toMatch(/skipped: not built: alarms$/)
  expect(said.at(-1)).toContain(results[0]!)
  const result = JSON.parse(await readFile(join(folder, 'results', results[0]!), 'utf8')) as { settings: object, bars: object[] }
  expect(result.settings).toEqual(SETTINGS)
  await expect(assertResult(result)).resolves.toBeUndefined()
  await expect(assertResult({ ...result, bars: [{ id: 'P1j' }] })).rejects.toThrow('not what its schema says')
})

test('only the bars asked for are measured', async () => {
  let measured: ReadonlySet<string> | undefined
  const { said } = await runGroups([{ ...SLOW, run: async (_context, wanted) => { measured = wanted; return {} } }], ['--only', 'P1a,P7', '--quick'])
  expect([...measured!]).toEqual(['P1a'])
  expect(said.map(line => line.split(' ')[0])).toEqual(['quick:', 'bar', 'P1a', 'P7', expect.stringContaining('results')])
})

test('wrong counts and crashes end with 1 and write nothing', async () => {
  for (const error of [new WrongResult('500 acknowledged, 499 rows'), new Error('a crash')]) {
    const { code, said, results } = await runGroups([SLOW, { bars: ['P12'], run: async () => { throw error } }])
    expect(code).toBe(1)
    expect(said.join('\n')).toContain(error.message)
    expect(results).toEqual([])
  }
})

/** Takes every reading; the answer with this number is another one. */
async function door (faultAt: number, fault: { status: number, body: string } | 'break'): Promise<{ server: Server, plan: LoadPlan }> {
  let answered = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const isFaulty = ++answered === faultAt
      if (isFaulty && fault === 'break') { request.socket.destroy(); return }
      const { status, body } = isFaulty && fault !== 'break' ? fault : { status: 200, body: '{"received":100,"accepted":100,"quarantined":0}' }
      response.writeHead(status, { 'Content-Length': body.length }).end(body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    server,
    plan: { url: `http://127.0.0.1:${port}`, token: 'token', format: 'json', connections: 4, devices: 100, devicesPerPost: 10, readingsPerDevice: 10, startAt: NOW, staggerMs: 0 }
  }
}

const FAULTS = [
  ['an answer that is not 2xx', { status: 503, body: '{}' }],
  ['a request that is refused', { status: 429, body: '{}' }],
  ['a broken connection', 'break']
] as const

for (const [name, fault] of FAULTS) {
  test(`${name} makes the bench end with 1`, async () => {
    const { server, plan } = await door(7, fault)
    const load = startLoad()
    try {
      const { code, said } = await runGroups([{
        bars: ['P1j'],
        run: async () => {
          await load.plan(plan)
          const result = await load.run({ postsPerGateway: 5 })
          assertAnswers(result)
          return {}
        }
      }])
      expect(code).toBe(1)
      expect(said.join('\n')).toContain('1 requests failed')
    } finally {
      load.close()
      server.close()
    }
  })
}

test('a gateway that sends again goes on until everything is acknowledged', async () => {
  const { server, plan } = await door(7, { status: 503, body: '{}' })
  const load = createLoad({ ...plan, retries: true })
  const result: LoadResult = await load.run({ postsPerGateway: 5 })
  load.close()
  server.close()
  expect(result).toMatchObject({ acked: 5_000, sent: 5_100, failures: 1, posts: new Array(10).fill(5) })
})
