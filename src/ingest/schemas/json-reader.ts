/** Properties of a JSON Schema with their purposes → what reads one parsed object into our shape. */

import { type EpochMs, epochMs } from '../../model/units.ts'
import { countMembers, isChannel } from '../decode/json.ts'
import { isFirmwareText, isIdentifierText, type SentChannel, TEXT_MAX } from '../decode/record.ts'
import type { JsonFields, JsonRead, JsonReading } from '../decode/schemas.ts'
import type { JsonProperty } from './json-property.ts'
import { roleName } from './plan.ts'

type Fields = Readonly<Record<string, unknown>>

/** `field`: a name of ours, never text that was sent. */
interface Fault { field: string }

export function jsonRead (properties: readonly JsonProperty[], schemaId: number): JsonRead {
  const known = new Map(properties.map(property => [property.name, property]))
  return (value, members) => {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    const read = isObject ? readObject(value as Fields, members, known, schemaId) : { fields: emptyFields(schemaId), failure: { reason: 'malformed' as const, field: undefined } }
    if (read.failure === undefined) return { reason: undefined, fields: read.fields }
    const { deviceId, takenAt } = read.fields
    return { ...read.failure, known: { schemaId, deviceId: deviceId === '' ? undefined : deviceId, takenAt: Number.isNaN(takenAt) ? undefined : takenAt } }
  }
}

function emptyFields (schemaId: number): JsonFields {
  return {
    schemaId, deviceId: '', patientId: undefined, takenAt: epochMs(Number.NaN), sequence: 0, channels: undefined, spo2: undefined, tissueO2: undefined,
    battery: undefined, quality: undefined, firmware: undefined
  }
}

interface Seen { fields: JsonFields, failure: Extract<JsonReading, { field: string | undefined }> | undefined }

function readObject (record: Fields, members: number, known: ReadonlyMap<string, JsonProperty>, schemaId: number): Seen {
  const fields = emptyFields(schemaId)
  const channels: SentChannel[] = []
  let field: string | undefined
  for (const [name, property] of known) {
    // A name may be that of something every object inherits.
    const value = Object.hasOwn(record, name) ? record[name] : undefined
    if (property.purpose.is === 'ignored') continue
    const fault = value === undefined ? missing(property) : value === null ? nullFault(property) : set(fields, channels, property, value)
    field ??= fault?.field
  }
  if (channels.length > 0) fields.channels = [...fields.channels ?? [], ...channels]
  if (Object.keys(record).some(name => !known.has(name))) field ??= 'unknown_field'
  if (field !== undefined) return { fields, failure: { reason: 'malformed', field } }
  if (countMembers(record) !== members) return { fields, failure: { reason: 'duplicate-key', field: undefined } }
  return hasValue(fields) ? { fields, failure: undefined } : { fields, failure: { reason: 'malformed', field: 'no_value' } }
}

function hasValue ({ spo2, tissueO2, channels, battery, quality }: JsonFields): boolean {
  return spo2 !== undefined || tissueO2 !== undefined || (channels?.length ?? 0) > 0 || battery !== undefined || quality !== undefined
}

function faultIn ({ purpose }: JsonProperty): Fault { return { field: purpose.is === 'role' ? roleName(purpose.role) : 'channels' } }

function missing (property: JsonProperty): Fault | undefined { return property.isRequired ? faultIn(property) : undefined }

function nullFault (property: JsonProperty): Fault | undefined { return property.isNullable ? undefined : faultIn(property) }

/** A measured value of another type than number fails alone, as everywhere; one outside the limits of the schema makes the record malformed. */
function set (fields: JsonFields, channels: SentChannel[], property: JsonProperty, value: unknown): Fault | undefined {
  const { purpose } = property
  if (typeof value === 'number' && (value < property.minimum || value > property.maximum)) return faultIn(property)
  if (typeof value === 'string' && (value.length < property.minLength || value.length > property.maxLength)) return faultIn(property)
  const number = typeof value === 'number' && (property.type !== 'integer' || Number.isSafeInteger(value)) ? value : Number.NaN
  if (purpose.is === 'channel') {
    channels.push({ ...purpose.channel, value: number })
    return undefined
  }
  if (purpose.is === 'ignored') return undefined
  switch (purpose.role) {
    case 'deviceId':
      if (!isIdentifierText(value, TEXT_MAX.deviceId)) return faultIn(property)
      fields.deviceId = value
      return undefined
    case 'patientId':
      if (!isIdentifierText(value, TEXT_MAX.patientId)) return faultIn(property)
      fields.patientId = value
      return undefined
    case 'firmware':
      if (!isFirmwareText(value)) return faultIn(property)
      fields.firmware = value
      return undefined
    case 'takenAt':
      if (!Number.isSafeInteger(value)) return faultIn(property)
      fields.takenAt = value as EpochMs
      return undefined
    case 'sequence':
      if (!Number.isSafeInteger(value) || value as number < 0) return faultIn(property)
      fields.sequence = value as number
      return undefined
    case 'channels': return setChannels(fields, value)
    case 'spo2': fields.spo2 = number; return undefined
    case 'tissueO2': fields.tissueO2 = number; return undefined
    case 'battery': fields.battery = number; return undefined
    case 'quality': fields.quality = number; return undefined
  }
}

function setChannels (fields: JsonFields, value: unknown): Fault | undefined {
  if (!Array.isArray(value) || value.length > TEXT_MAX.channels) return { field: 'channels' }
  const sent: SentChannel[] = []
  for (const [place, channel] of (value as (Fields | null)[]).entries()) {
    if (!isChannel(channel) || Object.keys(channel).length !== 4) return { field: `channels[${place}]` }
    const { metric, kind, unit, value: measured } = channel as unknown as SentChannel
    sent.push({ metric, kind, unit, value: typeof measured === 'number' ? measured : Number.NaN })
  }
  fields.channels = sent
  return undefined
}
