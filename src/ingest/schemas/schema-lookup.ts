/** Registered schemas as decoding asks for them: an id never changes its schema, so what was found stays in memory; what was not is asked again soon. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { createBoundedMemory } from '../../security/bounded-memory.ts'
import { fixedByForm, fixedById } from '../decode/fixed-readers.ts'
import { FIXED_ID_MAX } from '../decode/fixed-schemas.ts'
import { type SchemaAnswer, type SchemaName, type Schemas, UNKNOWN_FORM, UNKNOWN_ID } from '../decode/schemas.ts'
import { compileSchema } from './compile-schema.ts'
import { selectByForm, selectSchema, type StoredSchema } from './registry-rows.ts'

export interface SchemaLookup extends Schemas {
  /** Something was registered: what was not found before is asked again. */
  forgetMisses (): void
}

export interface SchemaLookupOptions {
  /** Login `oxbow_ingest`. */
  pool: Pool
  now: () => EpochMs
  /** Most answers remembered. Default 10,000. */
  rememberedMax?: number
  /** How long a schema that is not there is not asked for again: another process may register it. Default 2 s. */
  missMs?: number
}

const PG_INT_MAX = 2 ** 31 - 1

export function createSchemaLookup (options: SchemaLookupOptions): SchemaLookup {
  const { pool, now, rememberedMax = 10_000, missMs = 2_000 } = options
  const memory = createBoundedMemory<SchemaAnswer>({ sizeMax: rememberedMax, now })
  let misses = createBoundedMemory<SchemaAnswer>({ sizeMax: rememberedMax, now })
  const asking = new Map<string, Promise<SchemaAnswer>>()

  function answer (key: string, select: () => Promise<StoredSchema | undefined>, unknown: SchemaAnswer): SchemaAnswer | Promise<SchemaAnswer> {
    const known = memory.get(key) ?? misses.get(key) ?? asking.get(key)
    if (known !== undefined) return known
    const asked = select().then(stored => {
      if (stored === undefined) {
        misses.set(key, unknown, now() + missMs)
        return unknown
      }
      const found = readerOf(stored)
      memory.set(key, found, Number.POSITIVE_INFINITY)
      return found
    }).finally(() => { asking.delete(key) })
    asking.set(key, asked)
    return asked
  }

  function byId (id: number): SchemaAnswer | Promise<SchemaAnswer> {
    if (id <= FIXED_ID_MAX || id > PG_INT_MAX) return fixedById(id) ?? UNKNOWN_ID
    return answer(`id ${id}`, () => selectSchema(pool, id), UNKNOWN_ID)
  }

  return {
    named: (name: SchemaName) => 'id' in name ? byId(name.id) : fixedByForm(name.form) ?? answer(`form ${name.form}`, () => selectByForm(pool, name.form), UNKNOWN_FORM),
    kept: byId,
    forgetMisses: () => { misses = createBoundedMemory({ sizeMax: rememberedMax, now }) }
  }
}

/** What was registered under rules that have become stricter is not read in another way than it was meant. */
export function readerOf (stored: StoredSchema): SchemaAnswer {
  const compilation = compileSchema(stored)
  if (compilation.problems !== undefined) return { unreadable: 'schema-incompatible', detail: `the schema cannot be read as readings: ${compilation.problems.join('; ')}` }
  return { reader: compilation.compiled.reader(stored.id) }
}
