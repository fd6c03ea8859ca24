/** The built-in registry: subjects, their versions, and what may become the next one. Registering is activating: both checks and both rows in one transaction. */

import type { ClientBase, Pool } from 'pg'
import type { DeviceModels } from '../../model/device-model.ts'
import type { Events } from '../../observability/events.ts'
import { transaction } from '../../platform/postgres/pool.ts'
import { activationProblems } from './activation.ts'
import { DEFAULT_MODE, type Mode } from './compatibility.ts'
import { compileSchema } from './compile-schema.ts'
import type { CompiledSchema, SchemaText } from './compiled-schema.ts'
import {
  countSubjects, digestOf, insertSchema, insertVersion, lockRegistry, selectAllVersions, selectByDigest, selectByForm, selectMode, selectSchema, selectSubjects, selectSubjectsOf,
  selectVersions, type StoredSchema, type StoredVersion, upsertMode
} from './registry-rows.ts'
import { SchemaRefusal } from './schema-refusal.ts'

export interface RegistryDeps {
  /** Login `oxbow_ingest`. */
  pool: Pool
  /** The models whose mappings are in use. */
  models: DeviceModels
  events: Pick<Events, 'schema'>
  /** A schema is there that was not. */
  onRegistered?: () => void
}

export type VersionName = number | 'latest'

/** Every promise may be broken by SchemaRefusal, or unavailable STORE_UNAVAILABLE. */
export interface Registry {
  subjects (): Promise<string[]>
  versions (subject: string): Promise<number[]>
  version (subject: string, version: VersionName): Promise<StoredVersion>
  all (): Promise<Omit<StoredVersion, 'text'>[]>
  schema (id: number): Promise<StoredSchema>
  subjectsOf (id: number): Promise<{ subject: string, version: number }[]>
  /** The version of the subject that this schema is. */
  find (subject: string, schema: SchemaText): Promise<StoredVersion>
  /** Makes it the active version; gives the version it is already, if it is one. */
  register (subject: string, schema: SchemaText): Promise<StoredVersion>
  /** Why `register` would refuse it; [] when it would not. @param against only this version is compared, by the mode of the subject */
  problems (subject: string, schema: SchemaText, against?: VersionName): Promise<string[]>
  /** @param subject '' for all that have none of their own; gives `undefined` when this one has none */
  mode (subject: string): Promise<Mode | undefined>
  setMode (subject: string, mode: Mode): Promise<void>
}

/** What the verb needs, whichever registry holds the schemas. */
export type RegistryView = Pick<Registry, 'all' | 'problems' | 'register'>

const SUBJECTS_MAX = 10_000
export const VERSIONS_MAX = 200

type Db = Pick<ClientBase | Pool, 'query'>

export function createRegistry (deps: RegistryDeps): Registry {
  const { pool } = deps

  async function versionsOf (subject: string): Promise<StoredVersion[]> {
    const versions = await selectVersions(pool, subject)
    if (versions.length === 0) throw new SchemaRefusal(40401, `Subject '${subject}' not found.`)
    return versions
  }

  return {
    subjects: () => selectSubjects(pool),
    versions: async subject => (await versionsOf(subject)).map(({ version }) => version),
    version: async (subject, version) => pick(await versionsOf(subject), version),
    all: () => selectAllVersions(pool),
    async schema (id) {
      const schema = await selectSchema(pool, id)
      if (schema === undefined) throw new SchemaRefusal(40403, `Schema ${id} not found`)
      return schema
    },
    subjectsOf: id => selectSubjectsOf(pool, id),
    async find (subject, schema) {
      const { text } = normal(schema)
      const found = (await versionsOf(subject)).find(version => version.type === schema.type && version.text === text)
      if (found === undefined) throw new SchemaRefusal(40403, 'Schema not found')
      return found
    },
    register: (subject, schema) => register(deps, subject, schema),
    async problems (subject, schema, against) {
      const compilation = compileSchema(schema)
      if (compilation.problems !== undefined) throw invalid(compilation.problems)
      const versions = await selectVersions(pool, subject)
      return judge(pool, deps, { subject, compiled: compilation.compiled, versions, against: against === undefined ? undefined : pick(versions, against, subject) })
    },
    mode: subject => selectMode(pool, subject),
    async setMode (subject, mode) {
      if (subject !== '') assertSubject(subject)
      await upsertMode(pool, subject, mode)
    }
  }
}

const SUBJECT = /^[^\p{Cc}]{1,200}$/u

function assertSubject (subject: string): void {
  if (!SUBJECT.test(subject)) throw new SchemaRefusal(42201, 'a subject is named by 1 to 200 characters, none of them a control character')
}

function invalid (problems: readonly string[]): SchemaRefusal { return new SchemaRefusal(42201, 'the schema cannot be read as readings', problems) }

function pick (versions: readonly StoredVersion[], version: VersionName, subject = ''): StoredVersion {
  if (versions.length === 0) throw new SchemaRefusal(40401, `Subject '${subject}' not found.`)
  const found = version === 'latest' ? versions.at(-1) : versions.find(one => one.version === version)
  if (found === undefined) throw new SchemaRefusal(40402, `Version ${version} not found.`)
  return found
}

/** Without what makes no difference: white space between the parts of JSON. */
export function normal ({ type, text }: SchemaText): SchemaText {
  try {
    return { type, text: JSON.stringify(JSON.parse(text)) }
  } catch {
    return { type, text }
  }
}

async function register (deps: RegistryDeps, subject: string, given: SchemaText): Promise<StoredVersion> {
  try {
    assertSubject(subject)
    const compilation = compileSchema(given)
    if (compilation.problems !== undefined) throw invalid(compilation.problems)
    const { version, isNew } = await transaction(deps.pool, db => activate(db, deps, subject, normal(given), compilation.compiled))
    if (isNew) {
      deps.events.schema('registered')
      deps.onRegistered?.()
    }
    return version
  } catch (error) {
    if (error instanceof SchemaRefusal) deps.events.schema('refused')
    throw error
  }
}

async function activate (db: Db, deps: RegistryDeps, subject: string, schema: SchemaText, compiled: CompiledSchema): Promise<{ version: StoredVersion, isNew: boolean }> {
  await lockRegistry(db)
  const versions = await selectVersions(db, subject)
  const same = versions.find(({ type, text }) => type === schema.type && text === schema.text)
  if (same !== undefined) return { version: same, isNew: false }
  if (versions.length >= VERSIONS_MAX) throw new SchemaRefusal(42201, `a subject holds at most ${VERSIONS_MAX} versions: register under another subject`)
  if (versions.length === 0 && await countSubjects(db) >= SUBJECTS_MAX) throw new SchemaRefusal(42201, `the registry holds at most ${SUBJECTS_MAX} subjects`)
  const reasons = await judge(db, deps, { subject, compiled, versions, against: undefined })
  if (reasons.length > 0) throw new SchemaRefusal(409, 'Schema being registered is incompatible with an earlier schema or with a mapping in use', reasons)
  const id = await idOf(db, schema)
  const version = (versions.at(-1)?.version ?? 0) + 1
  await insertVersion(db, subject, version, id)
  return { version: { ...schema, id, subject, version }, isNew: true }
}

/** That of the same schema, or a new one. @param schema can be compiled */
export async function idOf (db: Db, schema: SchemaText): Promise<number> {
  const known = await selectByDigest(db, digestOf(schema))
  if (known !== undefined) return known
  const { compiled } = compileSchema(schema) as { compiled: CompiledSchema }
  return insertSchema(db, schema, compiled.type === 'AVRO' ? compiled.form : undefined)
}

interface Question {
  subject: string
  compiled: CompiledSchema
  versions: readonly StoredVersion[]
  against: StoredVersion | undefined
}

async function judge (db: Db, { models }: RegistryDeps, { subject, compiled, versions, against }: Question): Promise<string[]> {
  const mode = await selectMode(db, subject) ?? await selectMode(db, '') ?? DEFAULT_MODE
  return [...activationProblems({ compiled, versions, against, mode, models }), ...await formProblems(db, compiled)]
}

/** A container file names its schema by names and types alone, which must not mean two things. */
export async function formProblems (db: Db, compiled: CompiledSchema): Promise<string[]> {
  if (compiled.type !== 'AVRO') return []
  const { form, meaning } = compiled
  const twin = await selectByForm(db, form)
  if (twin === undefined) return []
  const compilation = compileSchema(twin)
  if (compilation.problems !== undefined || compilation.compiled.type !== 'AVRO' || compilation.compiled.meaning === meaning) return []
  return [`schema ${twin.id} has the same names and types in the same order and says otherwise what they mean: container files could not tell them apart; give the record another name`]
}
