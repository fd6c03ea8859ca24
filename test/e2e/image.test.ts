/** The image without a Docker daemon: the steps of its Dockerfile, in their order, in a clean folder; then what they made is started, alone. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DockerStage, type DockerStep, parseDockerfile } from '../support/dockerfile.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const STAGES = parseDockerfile(readFileSync('docker/Dockerfile', 'utf8'))
/** Steps that only make sense inside an image: they change the machine's users, or say how it is run. */
const IMAGE_ONLY = new Set(['ENV', 'USER', 'VOLUME', 'EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'])
/** As in the image: Node 24 comes first, and nothing of this project's environment gets in. Packages that npm has fetched before are taken from its cache:
 *  the lock file's digests hold for them all the same. */
const ENV = { npm_config_prefer_offline: 'true', PATH: [dirname(process.execPath), ...(process.env['PATH'] ?? '').split(delimiter).filter(folder => !folder.includes('node_modules'))].join(delimiter), HOME: process.env['HOME'], LANG: 'C.UTF-8' }

/** As given with --build-arg. */
const ARGUMENTS: Record<string, string> = { GIT_COMMIT: '1a2b3c4d5e6f708192a3b4c5d6e7f80912345678' }

let folder: string
let final: string
const children: ChildProcess[] = []

beforeAll(() => {
  folder = temporaryFolder('image')
  for (const stage of STAGES) runStage(stage)
  final = rootOf(STAGES.at(-1)!) + '/oxbow'
  // What the image has not got, the program must not need.
  for (const stage of STAGES.slice(0, -1)) rmSync(rootOf(stage), { recursive: true })
}, 600_000)

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

function rootOf ({ name }: DockerStage): string { return join(folder, name === '' ? 'final' : name) }

function runStage (stage: DockerStage): void {
  let work = rootOf(stage)
  mkdirSync(work, { recursive: true })
  const env: NodeJS.ProcessEnv = { ...ENV }
  for (const { word, rest } of stage.steps) {
    if (word === 'WORKDIR') {
      work = join(rootOf(stage), rest)
      mkdirSync(work, { recursive: true })
    } else if (word === 'COPY') copy(rest, work)
    else if (word === 'RUN' && !rest.startsWith('useradd ')) execFileSync('sh', ['-ec', rest], { cwd: work, env, stdio: ['ignore', 'ignore', 'inherit'] })
    else if (word === 'ARG') env[rest] = ARGUMENTS[rest]
    else if (word !== 'RUN' && !IMAGE_ONLY.has(word)) throw new Error(`this test does not know ${word}`)
  }
}

/** As COPY does it: a folder's content goes into the target, files go by their name. */
function copy (rest: string, work: string): void {
  const words = rest.split(/\s+/)
  const from = words[0]!.startsWith('--from=') ? join(folder, words.shift()!.slice('--from='.length)) : process.cwd()
  const target = words.pop()!
  for (const source of words) {
    const path = join(from, source)
    cpSync(path, target.endsWith('/') ? join(work, target, basename(source)) : join(work, target), { recursive: true, verbatimSymlinks: true })
  }
}

function start (args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, args, { cwd: final, env: { ...ENV, NODE_ENV: 'production', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return child
}

async function finish (child: ChildProcess): Promise<{ code: number | null, out: string, err: string }> {
  let [out, err] = ['', '']
  child.stdout!.on('data', data => { out += String(data) })
  child.stderr!.on('data', data => { err += String(data) })
  const [code] = await once(child, 'close') as [number | null]
  return { code, out, err }
}

function lastOf (word: string): DockerStep { return STAGES.at(-1)!.steps.findLast(step => step.word === word)! }

test('both stages are built on the Node that package.json pins', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: { node: string } }
  expect(STAGES.map(({ from }) => from)).toEqual(Array.from({ length: STAGES.length }, () => `node:${dependencies.node}-bookworm-slim`))
})

test('it runs as an ordinary user, and keeps data and keys on volumes of their own', () => {
  expect(lastOf('USER').rest).toBe('oxbow')
  const env = Object.fromEntries(lastOf('ENV').rest.split(' ').map(pair => pair.split('=')))
  const volumes = lastOf('VOLUME').rest.split(' ')
  const volumeOf = (path: string) => volumes.find(volume => path.startsWith(`${volume}/`))
  expect(volumeOf(env['OXBOW_DATA_DIR'])).toBeDefined()
  expect(volumeOf(env['OXBOW_KEYS_FILE'])).toBeDefined()
  expect(volumeOf(env['OXBOW_KEYS_FILE'])).not.toBe(volumeOf(env['OXBOW_DATA_DIR']))
})

test('it holds the program and what it needs, no source, no compiler, no second Node', () => {
  expect(readdirSync(final).sort()).toEqual(['dist', 'node_modules', 'package.json'])
  const files = readdirSync(join(final, 'dist'), { recursive: true, encoding: 'utf8' })
  expect(files.filter(name => name.endsWith('.ts'))).toEqual([])
  for (const name of ['typescript', 'vitest', '@biomejs/biome', 'fast-check', 'node']) expect(existsSync(join(final, 'node_modules', name)), name).toBe(false)
})

test('it knows the commit that it was built from', () => {
  const product = pathToFileURL(join(final, 'dist/src/config/product.js')).href
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', `console.log((await import(${JSON.stringify(product)})).build())`], { env: ENV, encoding: 'utf8' })
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(said.trim()).toBe(`${version}+${ARGUMENTS['GIT_COMMIT']}`)
})

test('every verb explains itself', async () => {
  const { code, out } = await finish(start([...JSON.parse(lastOf('ENTRYPOINT').rest).slice(1), '--help']))
  expect(code).toBe(0)
  const verbs = [...out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!)
  expect(verbs).toEqual(expect.arrayContaining(['serve', 'token', 'doctor']))
  for (const verb of verbs) expect((await finish(start(['dist/src/main.js', verb, '--help']))).code, verb).toBe(0)
})

test('an older Node is refused in one line that names the one needed', async () => {
  const pretended = `data:text/javascript,${encodeURIComponent("Object.defineProperty(process.versions, 'node', { value: '20.20.2' })")}`
  const { code, out, err } = await finish(start(['--import', pretended, 'dist/src/main.js', '--help']))
  expect([code, out]).toEqual([2, ''])
  expect(err).toMatch(/^oxbow needs Node 24\.2 or newer, this is 20\.20\.2: .+\n$/)
})

test('as the image stands, the start is refused until what is unsafe off loopback is allowed by name', async () => {
  const { code, err } = await finish(start(['dist/src/main.js', 'serve'], { OXBOW_DATA_DIR: join(folder, 'refused'), OXBOW_HTTP_HOST: '0.0.0.0' }))
  expect(code).toBe(2)
  for (const setting of ['http.allowPlain', 'keys.allowLocal', 'demo']) expect(err).toContain(setting)
})

test('it serves: ready, live, its capability, and an orderly end', async () => {
  const child = start(['dist/src/main.js', ...JSON.parse(lastOf('CMD').rest)], {
    OXBOW_DATA_DIR: join(folder, 'data'), OXBOW_KEYS_FILE: join(folder, 'keys', 'keys.json'), OXBOW_HTTP_PORT: '0', OXBOW_DEMO: 'off'
  })
  let err = ''
  child.stderr!.on('data', data => { err += String(data) })
  const lines = createInterface({ input: child.stdout! })
  const [ready] = await Promise.race([once(lines, 'line'), once(child, 'close').then(([code]) => [`ended with ${String(code)}: ${err}`])]) as [string]
  expect(ready).toMatch(/^oxbow ready http:\/\/127\.0\.0\.1:\d+$/)
  const address = ready.slice('oxbow ready '.length)
  for (const path of ['/health/live', '/health/ready', '/metrics', '/', '/fhir/metadata']) expect((await fetch(address + path)).status, path).toBe(200)
  child.kill('SIGTERM')
  const [code] = await once(child, 'close') as [number | null]
  expect(code).toBe(0)
})
