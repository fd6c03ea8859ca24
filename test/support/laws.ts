/** The laws as functions: sources in, findings out. Read as text, so that a type import counts like any other. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

export interface SourceFile { path: string, text: string }
export interface Finding { file: string, what: string }
export interface Law {
  name: string
  /** Reads what is written for people as well (`readTexts`); every other law is given sources alone. */
  readsTexts?: boolean
  check (files: readonly SourceFile[]): Finding[]
}

/** Law 1: each may import itself and what stands before it. */
const ROOMS = [
  'model', 'config', 'platform', 'observability', 'security', 'audit', 'auth', 'ingest', 'stream', 'stores', 'fhir', 'alarms',
  'subscriptions', 'oncall', 'exports', 'dashboard', 'http', 'system', 'system.ts', 'cli', 'main.ts'
]

/** Law 2: these meet on the bus or through a function handed in. */
const STAGES = ['ingest', 'stream', 'alarms', 'subscriptions', 'oncall']

/** Law 3: only these see who. */
const LINKAGE_READERS = ['src/stores/linkage/', 'src/fhir/', 'src/alarms/', 'src/subscriptions/', 'src/exports/', 'src/system/', 'src/system.ts']

/** Hot paths and write paths (performance.md, acceptance 22). */
const HOT = ['ingest', 'stream', 'stores', 'fhir', 'subscriptions', 'platform', 'model']

export function readTree (root: string): SourceFile[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .sort()
    .map(name => ({ path: join(root, name), text: readFileSync(join(root, name), 'utf8') }))
}

/** What reaches users beside the program: README, docs, mappings, profiles. */
export function readTexts (): SourceFile[] {
  return ['docs', 'mappings', 'fhir-profiles']
    .flatMap(root => readdirSync(root, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name)))
    .concat('README.md')
    .sort()
    .map(path => ({ path, text: readFileSync(path, 'utf8') }))
}

function roomOf (path: string): string { return path.split('/')[1] ?? '' }

interface Import { to: string, line: string, isLazy: boolean }

function importsOf (file: SourceFile): Import[] {
  const found: Import[] = []
  const pattern = /(?:\bfrom|^\s*import|\bimport\s*\(|\brequire\s*\()\s*['"]([^'"]+)['"]/gm
  for (const match of file.text.matchAll(pattern)) {
    const to = match[1]!
    found.push({
      to: to.startsWith('.') ? normalize(join(dirname(file.path), to)) : to,
      line: match[0].trim(),
      isLazy: match[0].includes('(')
    })
  }
  return found
}

function findings (files: readonly SourceFile[], judge: (file: SourceFile, entry: Import) => string | undefined): Finding[] {
  return files.flatMap(file => importsOf(file).flatMap(entry => {
    const what = judge(file, entry)
    return what === undefined ? [] : [{ file: file.path, what: `${what}: ${entry.line}` }]
  }))
}

function textFindings (files: readonly SourceFile[], pattern: RegExp, what: string, except: (path: string) => boolean): Finding[] {
  return files.filter(file => !except(file.path) && pattern.test(file.text)).map(file => ({ file: file.path, what }))
}

/** Files import each other in one direction, and so do the folders inside a room. */
function circles (files: readonly SourceFile[]): Finding[] {
  const ofFiles = new Map(files.map(file => [file.path, importsOf(file).map(entry => entry.to).filter(to => to.startsWith('src/'))]))
  const ofFolders = new Map<string, string[]>()
  for (const [path, targets] of ofFiles) {
    const from = folderOf(path)
    if (from === undefined) continue
    const others = targets.filter(to => roomOf(to) === roomOf(path)).flatMap(to => folderOf(to) ?? [])
    ofFolders.set(from, [...ofFolders.get(from) ?? [], ...others.filter(to => to !== from && !to.startsWith(`${from}/`) && !from.startsWith(`${to}/`))])
  }
  return [...circlesIn(ofFiles), ...circlesIn(ofFolders)]
}

/** `undefined` for what lies in the room itself. */
function folderOf (path: string): string | undefined {
  const folder = dirname(path)
  return folder.split('/').length > 2 ? folder : undefined
}

function circlesIn (edges: ReadonlyMap<string, readonly string[]>): Finding[] {
  const done = new Set<string>()
  const found: Finding[] = []
  const visit = (path: string, trail: string[]): void => {
    if (trail.includes(path)) { found.push({ file: trail[trail.indexOf(path)]!, what: [...trail.slice(trail.indexOf(path)), path].join(' → ') }); return }
    if (done.has(path)) return
    for (const to of edges.get(path) ?? []) visit(to, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return found
}

export const LAWS: readonly Law[] = [
  {
    name: 'every file stands in a known room',
    check: files => files.filter(file => !ROOMS.includes(roomOf(file.path))).map(file => ({ file: file.path, what: 'no such room in the plan' }))
  },
  {
    name: 'one arrow',
    check: files => findings(files, (file, { to }) => {
      if (!to.startsWith('src/')) return undefined
      return ROOMS.indexOf(roomOf(to)) > ROOMS.indexOf(roomOf(file.path)) ? 'imports a later room' : undefined
    })
  },
  { name: 'no circles', check: circles },
  {
    name: 'stages meet on the bus',
    check: files => findings(files, (file, { to }) => {
      const [from, target] = [roomOf(file.path), to.startsWith('src/') ? roomOf(to) : '']
      return from !== target && STAGES.includes(from) && STAGES.includes(target) ? 'a stage imports another stage' : undefined
    })
  },
  {
    name: 'who and what are apart',
    check: files => findings(files, (file, { to }) => {
      if (to.startsWith('src/stores/linkage/') && !LINKAGE_READERS.some(reader => file.path.startsWith(reader))) return 'must not see who'
      if (to.startsWith('src/stores/series/') && file.path.startsWith('src/stores/linkage/')) return 'linkage must not see what'
      return undefined
    })
  },
  {
    name: 'device and patient ids end in ingest',
    check: files => textFindings(files, /(?:^|[{;,(])\s*(?:readonly\s+)?(?:deviceId|patientId)\??\s*:/m, 'a type behind ingest has such a field',
      path => !path.startsWith('src/stream/') && !path.startsWith('src/stores/series/') && !path.startsWith('src/platform/bus/'))
  },
  {
    name: 'fastify stays at the door',
    check: files => findings(files, (file, { to }) => {
      const isDoor = file.path.endsWith('.routes.ts') || file.path.endsWith('.plugin.ts') || file.path === 'src/http/app.ts'
      return !isDoor && (to === 'fastify' || to.startsWith('@fastify/') || to.startsWith('fastify-')) ? 'imports the web framework' : undefined
    })
  },
  {
    name: 'the environment is read in main.ts',
    check: files => textFindings(files, /process\.env\b|\benv\b[^\n]*from ['"]node:process['"]/, 'reads the environment', path => path === 'src/main.ts')
  },
  {
    name: 'no console, no default export',
    check: files => textFindings(files, /\bconsole\.\w+\(|^export default\b/m, 'writes to the console or exports a default', () => false)
  },
  {
    name: 'kafkajs stays behind the bus',
    check: files => findings(files, (file, { to }) => /^kafkajs/.test(to) && !file.path.startsWith('src/platform/bus/') ? 'imports the Kafka client' : undefined)
  },
  {
    name: 'the AWS SDK stays in its adapters, imported lazily',
    check: files => findings(files, (file, { to, isLazy }) => {
      if (!to.startsWith('@aws-sdk/') && !to.startsWith('@smithy/')) return undefined
      const isAdapter = /^src\/(platform\/(objects\/s3|keys\/kms)|ingest\/kinesis-source)/.test(file.path)
      return isAdapter && isLazy ? undefined : 'imports the AWS SDK'
    })
  },
  {
    name: 'no interpreter on a hot path',
    check: files => files.filter(file => HOT.includes(roomOf(file.path)) && /\b(validateResource|evalFhirPath|resourceMatchesSubscriptionCriteria)\b/.test(file.text))
      .map(file => ({ file: file.path, what: 'names an interpreter of @medplum/core' }))
  },
  {
    name: 'the series store is never called de-identified',
    readsTexts: true,
    check: files => textFindings(files, /de-?identif/i, 'the word belongs to an export profile only', path => path.startsWith('src/exports/'))
  }
]
