/** The schemas that the product brings, as answers: known at once, with or without a registry. */

import { FIXED_READERS } from './avro.ts'
import { schemaIdByFingerprint } from './fixed-schemas.ts'
import { type SchemaAnswer, type Schemas, UNKNOWN_FORM, UNKNOWN_ID } from './schemas.ts'

const BY_ID: ReadonlyMap<number, SchemaAnswer> = new Map([...FIXED_READERS].map(([id, reader]) => [id, { reader }]))

/** `undefined`: none of the product's. */
export function fixedById (id: number): SchemaAnswer | undefined { return BY_ID.get(id) }

/** Likewise. @param form fingerprint of an Avro schema */
export function fixedByForm (form: string): SchemaAnswer | undefined {
  const id = schemaIdByFingerprint(form)
  return id === undefined ? undefined : BY_ID.get(id)
}

/** Only these. */
export const FIXED_SCHEMAS: Schemas = {
  named: name => 'id' in name ? fixedById(name.id) ?? UNKNOWN_ID : fixedByForm(name.form) ?? UNKNOWN_FORM,
  kept: id => fixedById(id) ?? UNKNOWN_ID
}
