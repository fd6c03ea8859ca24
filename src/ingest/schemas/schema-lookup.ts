/** Registered schemas as decoding asks for them: an id never changes its schema, so what was found stays in memory; what was not is asked again soon. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { createBoundedMemory } from '../../security/bounded-memory.ts'
import { fixedByForm, fixedById } from '../decode/fixed-readers.ts'
import { FIXED_ID_MAX } from '../decode/fixed-schemas.ts'
import { type SchemaAnswer, type SchemaName, type Schemas, UNKNOWN_FORM, UNKNOWN_ID } from '../decode/schemas.ts'
import { compileSchema } from './compile-schema.ts'
import type { ExternalSchema } from './external-schemas.ts'
import { selectByForm, selectSchema, type StoredSchema } from './registry-rows.ts'

export interface SchemaLookup extends Schemas {
  /** Something was registered: what was not found before is asked again. */
  forgetMisses (): void
}

export interface SchemaLookupOptions {
  /** Login `oxbow_ingest`. */
  pool: Pool
  now: () => EpochMs
  /** An external registry whose ids are those in frames; absent: the built-in one. @param kept by the id under which records are kept */
  external?: (kept: Schemas['kept']) => ExternalSchema
}

/** Answers remembered. */
const REMEMBERED_MAX = 1_000
/** How long a schema that is not there is not asked for again: another process may register it. */
const MISS_MS = 2_000
const PG_INT_MAX = 2 ** 31 - 1
/** How long a schema that cannot be read is not asked for again: it never changes, and what is said against it seldom. */
const INCOMPATIBLE_MS = 30_000

export function createSchemaLookup (options: SchemaLookupOptions): SchemaLookup {
  const { pool, now } = options
  const memory = createBoundedMemory<SchemaAnswer>({ sizeMax: REMEMBERED_MAX, now })
  let misses = createBoundedMemory<SchemaAnswer>({ sizeMax: REMEMBERED_MAX, now })
  const asking = new Map<string, Promise<SchemaAnswer>>()

  function answer (key: string, find: () => Promise<SchemaAnswer>): SchemaAnswer | Promise<SchemaAnswer> {
    const known = memory.get(key) ?? misses.get(key) ?? asking.get(key)
    if (known !== undefined) return known
    const asked = find().then(found => {
      if (found.unreadable === undefined) memory.set(key, found, Number.POSITIVE_INFINITY)
      else misses.set(key, found, now() + (found.unreadable === 'schema-incompatible' ? INCOMPATIBLE_MS : MISS_MS))
      return found
    }).finally(() => { asking.delete(key) })
    asking.set(key, asked)
    return asked
  }

  function byId (id: number): SchemaAnswer | Promise<SchemaAnswer> {
    if (id <= FIXED_ID_MAX || id > PG_INT_MAX) return fixedById(id) ?? UNKNOWN_ID
    return answer(`id ${id}`, async () => readerOf(await selectSchema(pool, id), UNKNOWN_ID))
  }

  const external = options.external?.(byId)

  /** An id in a frame. The fixed ids are ours, and mean something else elsewhere. */
  function inFrame (id: number): SchemaAnswer | Promise<SchemaAnswer> {
    if (external === undefined) return byId(id)
    return id < 1 || id > PG_INT_MAX ? UNKNOWN_ID : answer(`external ${id}`, () => external(id))
  }

  return {
    named: (name: SchemaName) => 'id' in name
      ? inFrame(name.id)
      : fixedByForm(name.form) ?? answer(`form ${name.form}`, async () => readerOf(await selectByForm(pool, name.form), UNKNOWN_FORM)),
    kept: byId,
    forgetMisses: () => { misses = createBoundedMemory({ sizeMax: REMEMBERED_MAX, now }) }
  }
}

/** What was registered under rules that have become stricter is not read in another way than it was meant. */
function readerOf (stored: StoredSchema | undefined, unknown: SchemaAnswer): SchemaAnswer {
  if (stored === undefined) return unknown
  const compilation = compileSchema(stored)
  if (compilation.problems !== undefined) return { unreadable: 'schema-incompatible', detail: `the schema cannot be read as readings: ${compilation.problems.join('; ')}` }
  return { reader: compilation.compiled.reader(stored.id) }
}
