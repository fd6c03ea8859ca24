/** Schemas as if they were registered, in memory: for tests of decoding. */

import { fixedByForm, fixedById } from '../../src/ingest/decode/fixed-readers.ts'
import type { SchemaAnswer, Schemas } from '../../src/ingest/decode/schemas.ts'
import type { SchemaText } from '../../src/ingest/schemas/compiled-schema.ts'
import { compiledOf } from './evolution.ts'

/** @param byId ids above those of the product */
export function registered (byId: Readonly<Record<number, SchemaText>>): Schemas {
  const answers = new Map<number | string, SchemaAnswer>()
  for (const [id, schema] of Object.entries(byId)) {
    const compiled = compiledOf(schema)
    const answer = { reader: compiled.reader(Number(id)) }
    answers.set(Number(id), answer)
    if (compiled.type === 'AVRO') answers.set(compiled.form, answer)
  }
  const unknown: SchemaAnswer = { unreadable: 'schema-unknown', detail: 'not registered' }
  return {
    named: name => 'id' in name ? fixedById(name.id) ?? answers.get(name.id) ?? unknown : fixedByForm(name.form) ?? answers.get(name.form) ?? unknown,
    kept: id => fixedById(id) ?? answers.get(id) ?? unknown
  }
}
