/** Takes a file, the environment and secret files; gives a frozen Config, or every problem at once by name, never by value. */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Ajv } from 'ajv'
import { ServiceError } from '../model/errors.ts'
import { type Config, environmentName, SETTINGS, type Setting, type SettingName } from './schema.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Variables that are not settings: read by the tests and the first lines of `main.ts`. */
const OTHER_VARIABLES = new Set(['OXBOW_CONFIG', 'OXBOW_REQUIRE', 'OXBOW_TEST_KAFKA'])

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTE_UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

type Parsed = { value: unknown } | { problem: string }

/** Environment beats file beats default. @throws ServiceError CONFIG_INVALID naming every bad setting */
export function loadConfig (env: Environment, file: string | undefined = env['OXBOW_CONFIG']): Config {
  const problems: string[] = []
  const fromFile = file === undefined ? {} : flatten(readConfigFile(file, problems))
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting][]) {
    const given = fromEnvironment(name, setting, env, problems) ?? fromFile[name]
    if (given === undefined) { values[name] = setting.default; continue }
    const parsed = parseSetting(setting, given)
    if ('problem' in parsed) problems.push(`${name} (${environmentName(name)}): ${parsed.problem}`)
    else values[name] = parsed.value
  }
  problems.push(...unknownNames(env, fromFile))
  if (problems.length > 0) {
    throw new ServiceError('incorrect', 'CONFIG_INVALID', `the configuration has ${problems.length} problem(s):\n${problems.map(p => `  ${p}`).join('\n')}`)
  }
  values['dataDir'] = resolve(values['dataDir'] as string)
  return Object.freeze(values) as Config
}

function readConfigFile (file: string, problems: string[]): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Record<string, unknown>
    problems.push('configuration file: must hold one JSON object')
  } catch (error) {
    problems.push(`configuration file: cannot be read as JSON (${error instanceof SyntaxError ? 'syntax' : (error as NodeJS.ErrnoException).code ?? 'unreadable'})`)
  }
  return {}
}

/** `{http: {port: 1}}` and `{"http.port": 1}` mean the same. A json setting's own object is not flattened. */
function flatten (object: Record<string, unknown>, prefix = ''): Record<string, unknown> {
  const flat: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(object)) {
    const name = prefix + key
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value) && !(name in SETTINGS)
    Object.assign(flat, isGroup ? flatten(value as Record<string, unknown>, `${name}.`) : { [name]: value })
  }
  return flat
}

function fromEnvironment (name: SettingName, setting: Setting, env: Environment, problems: string[]): string | undefined {
  const variable = environmentName(name)
  const path = env[`${variable}_FILE`]
  if (setting.type !== 'secret' || path === undefined) return env[variable]
  if (env[variable] !== undefined) { problems.push(`${name}: ${variable} and ${variable}_FILE are both set; set one`); return undefined }
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch {
    problems.push(`${name}: the file named by ${variable}_FILE cannot be read`)
    return undefined
  }
}

function unknownNames (env: Environment, fromFile: Record<string, unknown>): string[] {
  const known = new Set(Object.entries(SETTINGS).flatMap(([name, setting]) => {
    const variable = environmentName(name)
    return setting.type === 'secret' ? [variable, `${variable}_FILE`] : [variable]
  }))
  const variables = Object.keys(env).filter(name => name.startsWith('OXBOW_') && !known.has(name) && !OTHER_VARIABLES.has(name))
  const names = Object.keys(fromFile).filter(name => !(name in SETTINGS))
  return [...variables, ...names].map(name => `${name}: no such setting (see docs/configuration.md)`)
}

function parseSetting (setting: Setting, given: unknown): Parsed {
  switch (setting.type) {
    case 'text': case 'secret': case 'folder':
      return typeof given === 'string' ? { value: given } : { problem: 'must be text' }
    case 'choice':
      return setting.choices!.includes(given as string) ? { value: given } : { problem: `must be one of ${setting.choices!.join(', ')}` }
    case 'whole': case 'port': return inRange(setting, wholeNumber(given), 'a whole number')
    case 'duration': return inRange(setting, withUnit(given, DURATION_UNITS, 'ms'), 'a duration such as 500ms, 30s, 5min, 24h, 30d')
    case 'bytes': return inRange(setting, withUnit(given, BYTE_UNITS, 'B'), 'a size such as 65536, 64KiB, 10MiB')
    case 'json': return parseJson(setting, given)
  }
}

function wholeNumber (given: unknown): number {
  const value = typeof given === 'number' ? given : typeof given === 'string' && given !== '' ? Number(given) : Number.NaN
  return Number.isInteger(value) ? value : Number.NaN
}

function inRange (setting: Setting, value: number, what: string): Parsed {
  if (!Number.isFinite(value)) return { problem: `must be ${what}` }
  const { minimum = -Infinity, maximum = Infinity } = setting
  return value >= minimum && value <= maximum ? { value } : { problem: `must be ${what} from ${minimum} to ${maximum}` }
}

function withUnit (given: unknown, units: Readonly<Record<string, number>>, plain: string): number {
  if (typeof given === 'number') return Number.isInteger(given) ? given : Number.NaN
  const match = /^(\d+)\s*([A-Za-z]*)$/.exec(String(given))
  const factor = units[match?.[2] || plain]
  return match === null || factor === undefined ? Number.NaN : Number(match[1]) * factor
}

function parseJson (setting: Setting, given: unknown): Parsed {
  let value = given
  if (typeof given === 'string') {
    try { value = JSON.parse(given) } catch { return { problem: 'must be JSON' } }
  }
  const ajv = new Ajv({ allErrors: true, strict: false })
  const check = ajv.compile(setting.schema!)
  if (check(value)) return { value }
  return { problem: check.errors!.map(error => `${error.instancePath || '/'} ${error.message}`).join('; ') }
}
