/** A property of a JSON Schema, as far as it decides what is read. */

import type { Purpose } from './plan.ts'

export interface JsonProperty {
  name: string
  purpose: Purpose
  type: 'number' | 'integer' | 'string' | 'array' | undefined
  isNullable: boolean
  isRequired: boolean
  minimum: number
  maximum: number
  minLength: number
  maxLength: number
  /** Of what is ignored: its schema as it stands, compared and never applied; '' of the rest. */
  source: string
}
