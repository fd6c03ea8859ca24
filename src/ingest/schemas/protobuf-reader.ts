/** Fields of a Protobuf message with their purposes → what reads one message into our shape. */

import { ProtobufCursor } from '../decode/protobuf-cursor.ts'
import { faultOf } from '../decode/record-fault.ts'
import { type SentChannel, TEXT_MAX } from '../decode/record.ts'
import type { ProtobufRead } from '../decode/schemas.ts'
import { CHARACTER_BYTES_MAX, type Draft, emptyDraft, recordOf } from './draft.ts'
import type { Purpose, Role } from './plan.ts'
import { type ProtoField, type ProtoFile, ProtoProblem } from './proto-file.ts'

export interface PlannedField { field: ProtoField, purpose: Purpose }

/** Reads the value behind a tag. */
interface StepFor<D> { wireType: number, read: (cursor: ProtobufCursor, draft: D) => void, isRepeated: boolean }
type Step = StepFor<Draft>

const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5] as const

/** @param file for the messages that fields hold. @throws ProtoProblem naming the field */
export function protobufRead (fields: readonly PlannedField[], file: ProtoFile, schemaId: number): ProtobufRead {
  const steps = new Map(fields.map(({ field, purpose }) => [field.number, stepOf(field, purpose, file)]))
  return (bytes, start, end) => {
    const draft = emptyDraft()
    const cursor = new ProtobufCursor(bytes, start, end)
    const fault = readFields(cursor, steps, draft)
    if (cursor.failed) return { record: undefined, fault }
    const record = recordOf(draft, { source: bytes, start, end }, 'protobuf', schemaId)
    return { record, fault: fault ?? faultOf(record) }
  }
}

/** A field that the schema does not have, or one that stands there twice, makes the message malformed: what is meant is not certain. */
function readFields<D extends Draft | ItemDraft> (cursor: ProtobufCursor, steps: ReadonlyMap<number, StepFor<D>>, draft: D): string | undefined {
  let fault: string | undefined
  const seen = new Set<number>()
  while (cursor.position < cursor.end) {
    const tag = cursor.unsigned()
    const number = Math.floor(tag / 8)
    const step = steps.get(number)
    if (step === undefined || step.wireType !== tag % 8 && step.wireType >= 0) {
      fault ??= 'unknown_field'
      cursor.skip(tag % 8)
    } else {
      if (!step.isRepeated && seen.has(number)) fault = 'duplicate-key'
      seen.add(number)
      if (step.wireType < 0) cursor.skip(tag % 8)
      else step.read(cursor, draft)
    }
  }
  return fault
}

/** Wire type of what is passed over, whatever it has. */
const ANY = -1

function problem (field: ProtoField, text: string): ProtoProblem { return new ProtoProblem(`field ${field.name} ${text}`) }

function stepOf (field: ProtoField, purpose: Purpose, file: ProtoFile): Step {
  switch (purpose.is) {
    case 'ignored': return { wireType: ANY, read: () => {}, isRepeated: true }
    case 'channel': {
      const { metric, kind, unit } = purpose.channel
      return measured(field, (draft, value) => {
        draft.channels ??= []
        draft.channels.push({ metric, kind, unit, value })
      })
    }
    case 'role': return roleStep(field, purpose.role, file)
  }
}

type NumberRead = (cursor: ProtobufCursor) => number

const NUMBERS: Readonly<Record<string, readonly [wireType: number, isWhole: boolean, read: NumberRead]>> = {
  double: [FIXED64, false, cursor => cursor.double()],
  float: [FIXED32, false, cursor => cursor.float()],
  int32: [VARINT, true, cursor => cursor.whole()],
  int64: [VARINT, true, cursor => cursor.whole()],
  uint32: [VARINT, true, cursor => cursor.wholeUnsigned()],
  uint64: [VARINT, true, cursor => cursor.wholeUnsigned()],
  sint32: [VARINT, true, cursor => cursor.zigzag()],
  sint64: [VARINT, true, cursor => cursor.zigzag()],
  fixed32: [FIXED32, true, cursor => cursor.fixed32()],
  fixed64: [FIXED64, true, cursor => cursor.fixed64()],
  sfixed32: [FIXED32, true, cursor => cursor.sfixed32()],
  sfixed64: [FIXED64, true, cursor => cursor.sfixed64()]
}

function numberStep<D> (field: ProtoField, isWhole: boolean, set: (draft: D, value: number) => void): StepFor<D> {
  const form = NUMBERS[field.type]
  if (form === undefined || field.label === 'repeated' || (isWhole && !form[1])) throw problem(field, `must be one ${isWhole ? 'whole number (int64 and its kin)' : 'number'}`)
  const [wireType, , read] = form
  return { wireType, read: (cursor, draft) => { set(draft, read(cursor)) }, isRepeated: false }
}

/** Of what is measured, where absent must not look like a zero. */
function measured (field: ProtoField, set: (draft: Draft, value: number) => void, isWhole = false): Step {
  if (!field.hasPresence) throw problem(field, 'must be declared optional: a zero and a value that is absent look the same otherwise')
  return numberStep(field, isWhole, set)
}

function textStep<D> (field: ProtoField, bytesMax: number, set: (draft: D, text: string | undefined) => void): StepFor<D> {
  if (field.type !== 'string' || field.label === 'repeated') throw problem(field, 'must be one string')
  return { wireType: BYTES, read: (cursor, draft) => { set(draft, cursor.text(bytesMax)) }, isRepeated: false }
}

function roleStep (field: ProtoField, role: Role, file: ProtoFile): Step {
  switch (role) {
    case 'deviceId': return textStep(field, TEXT_MAX.deviceId * CHARACTER_BYTES_MAX, (draft, text) => { draft.deviceId = text ?? '' })
    // An empty text that is sent is as good as none where absent cannot be told from it.
    case 'patientId': return textStep(field, TEXT_MAX.patientId * CHARACTER_BYTES_MAX, (draft, text) => { draft.patientId = text === '' && !field.hasPresence ? undefined : text ?? '' })
    case 'firmware': return textStep(field, TEXT_MAX.firmware, (draft, text) => { draft.firmware = text ?? '\0' })
    case 'takenAt': return numberStep(field, true, (draft, value) => { draft.takenAt = value })
    case 'sequence': return numberStep(field, true, (draft, value) => { draft.sequence = value })
    case 'spo2': return measured(field, (draft, value) => { draft.spo2 = value })
    case 'tissueO2': return measured(field, (draft, value) => { draft.tissueO2 = value })
    case 'battery': return measured(field, (draft, value) => { draft.battery = value }, true)
    case 'quality': return measured(field, (draft, value) => { draft.quality = value }, true)
    case 'channels': return channelsStep(field, file)
  }
}

interface ItemDraft extends SentChannel { isMeasured: boolean }

/** In an element that is there a value that is left out is 0, unless it is declared optional: then it is not measured. */
function channelsStep (field: ProtoField, file: ProtoFile): Step {
  const message = file.messages.find(({ name }) => name === field.type)
  if (field.label !== 'repeated' || message === undefined) throw problem(field, 'must be repeated messages with metric, kind, unit and value')
  const missing = new Set(['metric', 'kind', 'unit', 'value'])
  const steps = new Map(message.fields.map(part => [part.number, itemStep(part, missing)]))
  if (missing.size > 0) throw problem(field, `lacks ${[...missing].join(', ')} in its messages`)
  const isValueOptional = message.fields.some(({ name, hasPresence }) => name === 'value' && hasPresence)
  return {
    wireType: BYTES,
    isRepeated: true,
    read: (cursor, draft) => {
      draft.channels ??= []
      const length = cursor.length()
      if (cursor.failed) return
      const item: ItemDraft = { metric: '', kind: '', unit: '', value: 0, isMeasured: !isValueOptional }
      const inner = new ProtobufCursor(cursor.bytes, cursor.position, cursor.position + length)
      const fault = readFields(inner, steps, item)
      cursor.position += length
      if (inner.failed) return cursor.fail()
      // What is wrong inside makes the judge find it: no text of a channel is this.
      if (fault !== undefined) item.metric = '\0'
      // More than the limit are read past, and the judge sees that there were too many.
      if ((item.isMeasured || fault !== undefined) && draft.channels.length <= TEXT_MAX.channels) draft.channels.push({ metric: item.metric, kind: item.kind, unit: item.unit, value: item.value })
    }
  }
}

function itemStep (part: ProtoField, missing: Set<string>): StepFor<ItemDraft> {
  if (part.annotation?.trim() === 'ignore') return { wireType: ANY, read: () => {}, isRepeated: true }
  if (!missing.delete(part.name)) throw problem(part, 'is no part of a channel: metric, kind, unit, value')
  switch (part.name) {
    case 'metric': return textStep(part, TEXT_MAX.channelText, (item, text) => { item.metric = text ?? '\0' })
    case 'kind': return textStep(part, TEXT_MAX.channelText, (item, text) => { item.kind = text ?? '\0' })
    case 'unit': return textStep(part, TEXT_MAX.channelText, (item, text) => { item.unit = text ?? '\0' })
    default: return numberStep(part, false, (item, value) => {
      item.value = value
      item.isMeasured = true
    })
  }
}
