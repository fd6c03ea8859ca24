/** Schemas of an external registry: taken over at the first record that names one, unless a mapping in use would break, and known from then on, whether it answers or not. */

import type { ClientBase, Pool } from 'pg'
import type { DeviceModels } from '../../model/device-model.ts'
import type { Events } from '../../observability/events.ts'
import { transaction } from '../../platform/postgres/pool.ts'
import { type SchemaAnswer, UNKNOWN_ID } from '../decode/schemas.ts'
import { activationProblems, type Version } from './activation.ts'
import { compileSchema, SCHEMA_TYPES } from './compile-schema.ts'
import type { CompiledSchema, SchemaText } from './compiled-schema.ts'
import type { Fetched, FetchSchema, SubjectVersion } from './confluent-client.ts'
import { formProblems, idOf, normal } from './registry.ts'
import { insertExternal, lockRegistry, selectExternal, selectExternalBefore, selectTaken } from './registry-rows.ts'

export interface ExternalSchemasDeps {
  /** Login `oxbow_ingest`. */
  pool: Pool
  models: DeviceModels
  events: Pick<Events, 'schema' | 'raise' | 'clear'>
  /** Address of the registry: its ids mean nothing elsewhere. */
  registry: string
  fetch: FetchSchema
  /** By the id under which records are kept. */
  kept: (id: number) => SchemaAnswer | Promise<SchemaAnswer>
}

/** By an id of that registry. */
export type ExternalSchema = (externalId: number) => Promise<SchemaAnswer>

export function createExternalSchemas (deps: ExternalSchemasDeps): ExternalSchema {
  return async externalId => {
    const known = await selectExternal(deps.pool, deps.registry, externalId)
    if (known !== undefined) return deps.kept(known)
    const fetched = await deps.fetch(externalId)
    if (fetched.is === 'unavailable') {
      deps.events.raise('schema-registry-failed', { detail: fetched.detail })
      return { unreadable: 'schema-unavailable', detail: 'the schema registry did not answer for this id' }
    }
    deps.events.clear('schema-registry-failed')
    if (fetched.is === 'unknown') return UNKNOWN_ID
    const taken = await take(deps, externalId, fetched)
    deps.events.schema(typeof taken === 'number' ? 'registered' : 'refused')
    return typeof taken === 'number' ? deps.kept(taken) : { unreadable: 'schema-incompatible', detail: `the schema is not activated: ${taken.join('; ')}` }
  }
}

/** Our id of it, or why it is not taken. */
async function take (deps: ExternalSchemasDeps, externalId: number, { type: given, text, hasReferences, versions }: Extract<Fetched, { is: 'schema' }>): Promise<number | readonly string[]> {
  const type = SCHEMA_TYPES.find(known => known === given)
  if (type === undefined) return ['its type is none of ours']
  if (hasReferences) return ['it refers to other schemas, which is not taken']
  const schema = normal({ type, text })
  return transaction(deps.pool, async db => {
    await lockRegistry(db)
    const subjects = versions.length === 0 ? [{ subject: '', version: 0 }] : versions
    const problems = await problemsOf(db, deps, schema, subjects)
    if (problems.length > 0) return problems
    const id = await idOf(db, schema)
    await insertExternal(db, deps.registry, externalId, subjects, id)
    return id
  })
}

/** The wire is for that registry to judge; what must not break here are the mappings. */
async function problemsOf (db: Pick<ClientBase, 'query'>, { registry, models }: ExternalSchemasDeps, schema: SchemaText, subjects: readonly SubjectVersion[]): Promise<string[]> {
  const compilation = compileSchema(schema)
  if (compilation.problems !== undefined) return [...compilation.problems]
  const problems = await formProblems(db, compilation.compiled)
  for (const { subject, version } of subjects) {
    const before: Version | undefined = subject === '' ? await sameNameBefore(db, registry, schema.type, compilation.compiled) : await selectExternalBefore(db, registry, subject, version)
    problems.push(...activationProblems({ compiled: compilation.compiled, versions: before === undefined ? [] : [before], mode: 'NONE', models }))
  }
  return [...new Set(problems)]
}

/** Where the registry does not say of which subject a schema is: the newest that was taken from it for records of the same name. */
async function sameNameBefore (db: Pick<ClientBase, 'query'>, registry: string, type: SchemaText['type'], compiled: CompiledSchema): Promise<Version | undefined> {
  const name = recordName(compiled)
  return (await selectTaken(db, registry, type)).find(taken => {
    const before = compileSchema(taken)
    return before.problems === undefined && recordName(before.compiled) === name
  })
}

/** `undefined`: JSON Schema names none, and all that do not are compared. */
function recordName (compiled: CompiledSchema): string | undefined {
  switch (compiled.type) {
    case 'AVRO': return compiled.avro.name
    case 'PROTOBUF': return compiled.file.messages[0]?.name
    case 'JSON': return undefined
  }
}
