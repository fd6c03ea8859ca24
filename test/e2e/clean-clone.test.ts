/** A clean clone in a new folder on a host that has Node and npm and nothing else: `npm start` installs and serves, and the README's commands lead to an Observation. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { type Bundle, eventually, type Observation } from '../support/fhir-client.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const isClone = existsSync('.git')

if (!isClone && process.env['OXBOW_REQUIRE'] === 'all') throw new Error('OXBOW_REQUIRE=all: this folder is no git clone, so a clean clone cannot be made')

/** The host's own PATH: without the folders that npm puts in front. */
const PATH = (process.env['PATH'] ?? '').split(delimiter).filter(folder => !folder.includes('node_modules')).join(delimiter)

/** As README.md says, on another port. */
function readmeCommands (port: number): string {
  const section = readFileSync('README.md', 'utf8').split('## A reading\'s whole way')[1]!
  const commands = /```sh\n(.*?)```/s.exec(section)![1]!
  return commands.replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
}

function isGroupRunning (group: number): boolean {
  try {
    return process.kill(-group, 0)
  } catch {
    return false
  }
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

test.skipIf(!isClone)('npm start on a clean clone, then the README\'s commands, end in a final Observation', async () => {
  const parent = temporaryFolder('clone')
  const clone = join(parent, 'oxbow')
  execFileSync('git', ['clone', '--quiet', '--no-hardlinks', process.cwd(), clone])
  const port = await freePort()
  const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('OXBOW_') && !name.startsWith('npm_')))
  const env = { ...plain, PATH, OXBOW_HTTP_PORT: String(port) }
  const server = spawn('npm', ['start'], { cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const exited = once(server, 'exit')
  let output = ''
  server.stderr.on('data', (chunk: Buffer) => { output += chunk.toString() })
  try {
    await new Promise<void>((resolve, reject) => {
      server.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (output.includes('oxbow ready http://')) resolve()
      })
      server.once('exit', code => { reject(new Error(`npm start ended with ${code}: ${output.slice(-2_000)}`)) })
    })
    const commands = readmeCommands(port)
    const [token, asking] = [/^TOKEN=.*$/m.exec(commands)![0], commands.slice(commands.indexOf('# 4.'))]
    const run = (text: string): string => {
      const script = join(parent, 'readme.sh')
      writeFileSync(script, `set -euo pipefail\n${text}`)
      return execFileSync('bash', [script], { cwd: clone, env, encoding: 'utf8' })
    }
    run(commands.slice(0, commands.indexOf('# 4.')))
    // A person reads on before typing the last command; a script may be ahead of the closing window.
    const observation = await eventually(async () => {
      const bundle = JSON.parse(run(`${token}\n${asking}`)) as Bundle<Observation>
      expect(bundle.entry?.length).toBe(1)
      return bundle.entry![0]!.resource
    })
    expect([observation.status, observation.valueSampledData?.data.split(' ').length]).toEqual(['final', 60])
  } finally {
    process.kill(-server.pid!, 'SIGTERM')
    await exited
    // npm ends before what it started, which still writes to its folder.
    await eventually(async () => { expect(isGroupRunning(server.pid!)).toBe(false) }, 30_000)
    rmSync(parent, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})
