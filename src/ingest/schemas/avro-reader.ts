/** Fields of an Avro record with their purposes → what reads one record into our shape. */

import type { AvroCursor } from '../decode/avro-cursor.ts'
import { type SentChannel, TEXT_MAX } from '../decode/record.ts'
import type { AvroRead } from '../decode/schemas.ts'
import { fieldsOf, type Names, namespaceOf, newNames, type Node, nodeName, passOver, type Resolved, resolveType, type Step, TypeProblem } from './avro-types.ts'
import { CHARACTER_BYTES_MAX, type Draft, emptyDraft, recordOf } from './draft.ts'
import { type ChannelName, type Purpose, REQUIRED_ROLES, type Role, WHOLE_ROLES } from './plan.ts'

/** One field of the record with what it is for. */
export interface PlannedField { name: string, type: unknown, purpose: Purpose }

const CHANNEL_TEXT_SLOT = 3

/** @param namespace of the record. @throws TypeProblem naming the field */
export function avroRead (fields: readonly PlannedField[], namespace: string, schemaId: number): AvroRead {
  const names = newNames()
  // One for each reader, used again for each record.
  const draft = emptyDraft()
  const steps = fields.map(field => inField(field.name, () => fieldStep(field, namespace, names, draft)))
  return cursor => {
    clear(draft)
    for (const step of steps) step(cursor)
    return recordOf(draft, { source: cursor.bytes, start: 0, end: 0 }, 'avro', schemaId)
  }
}

function clear (draft: Draft): void {
  draft.deviceId = ''
  draft.patientId = undefined
  draft.takenAt = 0
  draft.sequence = 0
  draft.channels = undefined
  draft.spo2 = undefined
  draft.tissueO2 = undefined
  draft.battery = undefined
  draft.quality = undefined
  draft.firmware = undefined
}

function inField<T> (name: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof TypeProblem ? new TypeProblem(`field ${name} ${error.message}`) : error
  }
}

function fieldStep ({ type, purpose }: PlannedField, namespace: string, names: Names, draft: Draft): Step {
  switch (purpose.is) {
    case 'ignored': return passOver(type, namespace, names)
    case 'channel': return channelStep(type, namespace, names, purpose.channel, draft)
    case 'role': return roleStep(type, namespace, names, purpose.role, draft)
  }
}

/** The one type beside null, if any, and how it is told that there is none. */
interface Optional { value: Resolved, isAbsent: ((cursor: AvroCursor) => boolean) | undefined }

function optional (type: unknown, namespace: string, names: Names): Optional {
  const resolved = resolveType(type, namespace, names)
  if (resolved.is !== 'union') return { value: resolved, isAbsent: undefined }
  const branches = resolved.branches.map(branch => resolveType(branch, resolved.namespace, names))
  const nullPlace = branches.findIndex(branch => branch.is === 'primitive' && branch.name === 'null')
  const value = branches.find((_, place) => place !== nullPlace)
  if (value === undefined || branches.length !== 2 || nullPlace < 0) throw new TypeProblem('is a union other than of null and one type')
  return { value, isAbsent: cursor => cursor.branch(2) === nullPlace }
}

const NUMBERS: Readonly<Record<string, (cursor: AvroCursor) => number>> = {
  int: cursor => cursor.long(), long: cursor => cursor.long(), float: cursor => cursor.float(), double: cursor => cursor.double()
}

function numberOf (value: Resolved, isWhole: boolean): (cursor: AvroCursor) => number {
  const read = value.is === 'primitive' && (!isWhole || value.name === 'int' || value.name === 'long') ? NUMBERS[value.name] : undefined
  if (read === undefined) throw new TypeProblem(isWhole ? 'must be an int or long' : 'must be an int, long, float or double')
  return read
}

/** @param set is not called for an absent value */
function numberStep ({ value, isAbsent }: Optional, isWhole: boolean, set: (value: number) => void): Step {
  const read = numberOf(value, isWhole)
  if (isAbsent === undefined) return cursor => { set(read(cursor)) }
  return cursor => { if (!isAbsent(cursor)) set(read(cursor)) }
}

/** @param slot of the cursor's memory · @param set is given what cannot be a text of ours as `wrong` */
function textStep ({ value, isAbsent }: Optional, slot: number, bytesMax: number, wrong: string, set: (text: string) => void): Step {
  if (value.is !== 'primitive' || value.name !== 'string') throw new TypeProblem('must be a string')
  if (isAbsent === undefined) return cursor => { set(cursor.text(slot, bytesMax) ?? wrong) }
  return cursor => { if (!isAbsent(cursor)) set(cursor.text(slot, bytesMax) ?? wrong) }
}

function channelStep (type: unknown, namespace: string, names: Names, { metric, kind, unit }: ChannelName, draft: Draft): Step {
  return numberStep(optional(type, namespace, names), false, value => {
    draft.channels ??= []
    draft.channels.push({ metric, kind, unit, value })
  })
}

function roleStep (type: unknown, namespace: string, names: Names, role: Role, draft: Draft): Step {
  const found = optional(type, namespace, names)
  if (found.isAbsent !== undefined && REQUIRED_ROLES.includes(role)) throw new TypeProblem('must not be optional')
  const number = (set: (value: number) => void) => numberStep(found, WHOLE_ROLES.has(role), set)
  switch (role) {
    case 'deviceId': return textStep(found, 0, TEXT_MAX.deviceId * CHARACTER_BYTES_MAX, '', text => { draft.deviceId = text })
    case 'patientId': return textStep(found, 1, TEXT_MAX.patientId * CHARACTER_BYTES_MAX, '', text => { draft.patientId = text })
    case 'firmware': return textStep(found, 2, TEXT_MAX.firmware, '\0', text => { draft.firmware = text })
    case 'takenAt':
      assertMilliseconds(found.value)
      return number(value => { draft.takenAt = value })
    case 'sequence': return number(value => { draft.sequence = value })
    case 'spo2': return number(value => { draft.spo2 = value })
    case 'tissueO2': return number(value => { draft.tissueO2 = value })
    case 'battery': return number(value => { draft.battery = value })
    case 'quality': return number(value => { draft.quality = value })
    case 'channels': return channelsStep(found, names, draft)
  }
}

function assertMilliseconds (value: Resolved): void {
  if (value.is !== 'primitive' || value.name !== 'long') throw new TypeProblem('must be a long')
  if (value.logical !== undefined && value.logical !== 'timestamp-millis') throw new TypeProblem('must be in ms: logicalType timestamp-millis, or none')
}

function channelsStep ({ value, isAbsent }: Optional, names: Names, draft: Draft): Step {
  const item = value.is === 'node' && value.node['type'] === 'array' ? resolveType(value.node['items'], value.namespace, names) : undefined
  if (item?.is !== 'node' || item.node['type'] !== 'record') throw new TypeProblem('must be an array of records with metric, kind, unit and value')
  const sent: SentChannel = { metric: '', kind: '', unit: '', value: 0 }
  const place = { slot: 0, isMeasured: true }
  const steps = channelItemSteps(item.node, nodeName(item.node, item.namespace), names, sent, place)
  return cursor => {
    draft.channels ??= []
    if (isAbsent?.(cursor) === true) return
    const { channels } = draft
    for (let count = cursor.blockCount(); count !== 0; count = cursor.blockCount()) {
      for (let left = count; left > 0 && !cursor.failed; left--) {
        place.slot = CHANNEL_TEXT_SLOT + 3 * Math.min(channels.length, TEXT_MAX.channels)
        place.isMeasured = true
        for (const step of steps) step(cursor)
        // More than the limit are read past, and the judge sees that there were too many.
        if (place.isMeasured && channels.length <= TEXT_MAX.channels) channels.push({ metric: sent.metric, kind: sent.kind, unit: sent.unit, value: sent.value })
      }
    }
  }
}

const CHANNEL_TEXTS = ['metric', 'kind', 'unit'] as const

/** A value that is null is not measured: its channel is absent. */
function channelItemSteps (node: Node, name: string, names: Names, sent: SentChannel, place: { slot: number, isMeasured: boolean }): Step[] {
  const namespace = namespaceOf(name)
  const missing = new Set<string>([...CHANNEL_TEXTS, 'value'])
  const steps = fieldsOf(node, names).map(field => inField(String(field['name']), (): Step => {
    const type = field['type']
    const part = String(field['name'])
    if (field['oxbow.ignore'] === true) return passOver(type, namespace, names)
    if (!missing.delete(part)) throw new TypeProblem('is no part of a channel: metric, kind, unit, value')
    const found = optional(type, namespace, names)
    if (part === 'value') {
      const read = numberOf(found.value, false)
      return cursor => {
        place.isMeasured = found.isAbsent?.(cursor) !== true
        if (place.isMeasured) sent.value = read(cursor)
      }
    }
    const at = (CHANNEL_TEXTS as readonly string[]).indexOf(part)
    if (found.isAbsent !== undefined || found.value.is !== 'primitive' || found.value.name !== 'string') throw new TypeProblem('must be a string')
    return cursor => { sent[CHANNEL_TEXTS[at]!] = cursor.text(place.slot + at, TEXT_MAX.channelText) ?? '\0' }
  }))
  if (missing.size > 0) throw new TypeProblem(`lacks ${[...missing].join(', ')} in its items`)
  names.types.set(name, { node, namespace })
  return steps
}
