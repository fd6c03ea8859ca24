/** The form of a mapping file: what one kind of ledger row is called in FHIR. Takes parsed JSON -> gives a typed `MappingFile` or its problems. */

import type { ViewKind } from '../../model/window.ts'

export interface Coding { system: string, code: string, display?: string }
export interface Concept { coding: readonly Coding[], text?: string }

/** How one kind of Observation made from the row is named. */
export interface ViewText {
  /** Profiles of the Observation, most general first. */
  profile: readonly string[]
  category: Coding
  code: Concept
}

export interface ComponentText {
  /** Quantity kind of a channel, or name of a row without a channel. */
  of: string
  code: Concept
}

export interface MappingFile {
  name: string
  version: number
  /** Which ledger rows: quantity kind of their channel (`spo2` is its last value), `spo2-samples`, or the name of a row without a channel. */
  row: string
  /** What `Observation.device` names: the channel's DeviceMetric or the reader itself. */
  device: 'metric' | 'reader'
  subject: 'patient' | 'device'
  /** UCUM code; absent: the unit of the channel. */
  unit?: string
  /** Text shown for a UCUM code, where it differs. */
  unitText?: Readonly<Record<string, string>>
  /** Smallest step shown of a row without a channel. */
  resolution?: number
  /** SampledData limits of a row without a channel. */
  range?: { low: number, high: number }
  views: Readonly<Partial<Record<ViewKind, ViewText>>>
  components?: readonly ComponentText[]
}

const text = { type: 'string', minLength: 1 }
const coding = {
  type: 'object',
  required: ['system', 'code'],
  additionalProperties: false,
  properties: { system: text, code: text, display: text }
}
const concept = {
  type: 'object',
  required: ['coding'],
  additionalProperties: false,
  properties: { coding: { type: 'array', minItems: 1, items: coding }, text }
}
const view = {
  type: 'object',
  required: ['profile', 'category', 'code'],
  additionalProperties: false,
  properties: { profile: { type: 'array', minItems: 1, items: text }, category: coding, code: concept }
}

/** JSON Schema of {@link MappingFile}. */
export const MAPPING_SCHEMA = {
  type: 'object',
  required: ['name', 'version', 'row', 'device', 'subject', 'views'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,63}$' },
    version: { type: 'integer', minimum: 1 },
    row: text,
    device: { enum: ['metric', 'reader'] },
    subject: { enum: ['patient', 'device'] },
    unit: text,
    unitText: { type: 'object', additionalProperties: text },
    resolution: { type: 'number', exclusiveMinimum: 0 },
    range: {
      type: 'object',
      required: ['low', 'high'],
      additionalProperties: false,
      properties: { low: { type: 'number' }, high: { type: 'number' } }
    },
    views: {
      type: 'object',
      minProperties: 1,
      additionalProperties: false,
      properties: { sampled: view, single: view, panel: view, numeric: view, mean: view, rate: view, deficit: view }
    },
    components: {
      type: 'array',
      minItems: 1,
      items: { type: 'object', required: ['of', 'code'], additionalProperties: false, properties: { of: text, code: concept } }
    }
  }
}
