/** The device schemas that the product brings: takes an id or an Avro schema, gives the schema's id. Ids 1 and 2 are fixed for ever. */

import { fingerprint } from './canonical-form.ts'

export interface RegisteredSchema { id: 1 | 2, subject: string, version: number, schema: object }

const NULL_TEXT = ['null', 'string'] as const

/** One SpO2 and one tissue value whose meaning and unit the device model states. */
export const TISSUE_OXYGEN_V1 = {
  type: 'record',
  name: 'TissueOxygen',
  fields: [
    { name: 'deviceId', type: 'string' },
    { name: 'patientId', type: NULL_TEXT, default: null },
    { name: 'timestamp_utc', type: 'long', doc: 'ms since 1970-01-01T00:00Z' },
    { name: 'spo2', type: 'double', doc: 'percent' },
    { name: 'local_tissue_o2', type: 'double', doc: 'unit of the device model' },
    { name: 'battery_mv', type: 'int' },
    { name: 'firmware_version', type: 'string' },
    { name: 'signal_quality', type: 'int', doc: 'percent' }
  ]
} as const

/** Any channels, each with its unit; absent is absent. */
export const TISSUE_OXYGEN_V2 = {
  type: 'record',
  name: 'TissueOxygen',
  fields: [
    { name: 'deviceId', type: 'string' },
    { name: 'patientId', type: NULL_TEXT, default: null },
    { name: 'timestamp_utc', type: 'long', doc: 'ms since 1970-01-01T00:00Z' },
    { name: 'sequence', type: ['null', 'long'], default: null },
    {
      name: 'channels',
      type: {
        type: 'array',
        items: {
          type: 'record',
          name: 'Channel',
          fields: [
            { name: 'metric', type: 'string' },
            { name: 'kind', type: 'string' },
            { name: 'unit', type: 'string', doc: 'UCUM' },
            { name: 'value', type: 'double' }
          ]
        }
      }
    },
    { name: 'battery_mv', type: ['null', 'int'], default: null },
    { name: 'firmware_version', type: NULL_TEXT, default: null },
    { name: 'signal_quality', type: ['null', 'int'], default: null, doc: 'percent' }
  ]
} as const

export const SCHEMAS: readonly RegisteredSchema[] = [
  { id: 1, subject: 'TissueOxygen', version: 1, schema: TISSUE_OXYGEN_V1 },
  { id: 2, subject: 'TissueOxygen', version: 2, schema: TISSUE_OXYGEN_V2 }
]

/** Ids that the product may still take; the registry gives higher ones. */
export const FIXED_ID_MAX = 100

const BY_FINGERPRINT: ReadonlyMap<string, 1 | 2> = new Map(SCHEMAS.map(({ id, schema }) => [fingerprint(schema), id]))

/** `undefined` for any other schema. */
export function schemaIdOf (id: number): 1 | 2 | undefined { return id === 1 || id === 2 ? id : undefined }

/** Id of the schema of the product with the same Parsing Canonical Form; `undefined` when there is none or it is no schema. */
export function schemaIdByForm (schema: unknown): 1 | 2 | undefined {
  try {
    return schemaIdByFingerprint(fingerprint(schema))
  } catch {
    return undefined
  }
}

/** @param form of `fingerprint` */
export function schemaIdByFingerprint (form: string): 1 | 2 | undefined { return BY_FINGERPRINT.get(form) }

/** Name shown in provenance: `TissueOxygen.v1`; of one that is registered `schema-<id>`, whose subject and version the registry tells: an id
 *  never means anything else, while a schema may stand in several subjects. */
export function schemaName (id: number): string {
  const schema = SCHEMAS.find(registered => registered.id === id)
  return schema === undefined ? `schema-${id}` : `${schema.subject}.v${schema.version}`
}
