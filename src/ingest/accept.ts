/** One request's way in: decode → check and identify → publish → answer, once everything in it is durable. What fails is quarantined. */

import { REASONS, type ReasonCode } from '../model/reason.ts'
import type { EpochMs } from '../model/units.ts'
import type { Events } from '../observability/events.ts'
import type { ArrivalCounters } from './counters.ts'
import { type BodyKind, bodyKind, type IncomingBody } from './decode/content.ts'
import { type BodyLimits, decodeBody } from './decode/decode-body.ts'
import type { DecodedBody, DecodedRecord, RecordBytes, RejectedRecord } from './decode/record.ts'
import type { Schemas } from './decode/schemas.ts'
import type { Failure, GateVisit, Identified, Identify, SidGroup } from './identify.ts'
import { type PublishDeps, publishGroups } from './publish-groups.ts'
import { type Quarantine, sealedLength } from './quarantine/quarantine.ts'
import type { BodyEncoding, NewItem } from './quarantine/quarantine-item.ts'
import type { Origin, SourcePosition } from './raw-frame.ts'

export interface AcceptDeps extends PublishDeps {
  identify: Identify
  quarantine: Pick<Quarantine, 'assertRoom' | 'add'>
  /** Of `release.ts`. */
  enterGate: () => GateVisit
  counters: Pick<ArrivalCounters, 'accepted'>
  events: Pick<Events, 'accepted'>
  now: () => EpochMs
  limits: BodyLimits
  schemas: Schemas
  /** Name of this inlet in source positions, e.g. `http/<instance>`. */
  inlet: string
}

/** `index`: place in the body, from 0. `detail` says what to do; nothing that was sent is repeated. */
export interface Finding { index: number, reason: ReasonCode, detail: string, field?: string }

/** received = accepted + quarantined. */
export interface AnswerBody {
  received: number
  accepted: number
  quarantined: number
  /** Records that were not accepted, in order of their place. */
  rejected: readonly Finding[]
  /** Fields that were quarantined while their record was accepted, and those of a record that was rejected as `no-channel-left`. */
  fields: readonly Finding[]
}

/** 400: no record of the body could be read; it is kept in quarantine all the same. */
export interface Answer { status: 200 | 400, body: AnswerBody }

/** Resolves when everything is durable. @throws ServiceError INPUT_TYPE, INPUT_ENCODING, INPUT_TOO_LARGE, BUS_FULL, QUARANTINE_FULL (nothing was
 *  stored), or unavailable STORE_UNAVAILABLE (a part may be stored: sent again, what is stored already is suppressed) */
export type Accept = (body: IncomingBody) => Promise<Answer>

interface Request { source: SourcePosition, receivedAt: EpochMs, visit: GateVisit }

export function createAccept (deps: AcceptDeps): Accept {
  let lastNumber = 0

  return async function accept (body) {
    const receivedAt = deps.now()
    const kind = bodyKind(body.contentType)
    const decoding = decodeBody(body, kind, deps.limits, deps.schemas)
    const decoded = decoding instanceof Promise ? await decoding : decoding
    const source: SourcePosition = { inlet: deps.inlet, number: ++lastNumber }
    if (decoded.unreadable !== undefined) return keepBody(body, kind, decoded, source, receivedAt)
    const visit = deps.enterGate()
    try {
      const identifying = deps.identify(decoded.records, receivedAt, visit)
      const identified = identifying instanceof Promise ? await identifying : identifying
      const isUnread = decoded.records.length === 0 && decoded.rejected.length > 0
      const failures = decoded.rejected.length === 0 ? identified.failures : [...decoded.rejected.map(rejectedFailure), ...identified.failures]
      const received = decoded.records.length + decoded.rejected.length
      return { status: isUnread ? 400 : 200, body: await store({ ...identified, failures }, received, { source, receivedAt, visit }) }
    } finally {
      visit.end()
    }
  }

  /** Room is asked for before the append, so that a refused request has stored nothing; readings go before failures, which would be kept twice. */
  async function store ({ groups, failures }: Identified, received: number, { source, receivedAt, visit }: Request): Promise<AnswerBody> {
    if (failures.length > 0) deps.quarantine.assertRoom(failures.length, sealedLengths(failures))
    const origin: Origin = { ...source, records: received }
    const destroyed = await publishGroups(deps, groups, { way: 'arrived', originOf: () => origin, placeOf: placeInBody })
    const all = destroyed.length === 0 ? failures : withDestroyed(failures, destroyed, visit)
    if (all.length > 0) await deps.quarantine.add(all.map(failure => itemOf(failure, origin, receivedAt)))
    const rejected = all.filter(({ kind }) => kind === 'record').map(findingOf).sort((a, b) => a.index - b.index)
    const accepted = received - rejected.length
    if (accepted > 0) {
      deps.counters.accepted(receivedAt, accepted)
      deps.events.accepted(accepted)
    }
    return { received, accepted, quarantined: rejected.length, rejected, fields: all.flatMap(fieldFindings) }
  }

  async function keepBody (body: IncomingBody, kind: BodyKind, unread: UnreadableBody, source: SourcePosition, arrivedAt: EpochMs): Promise<Answer> {
    const bytes: RecordBytes = { source: body.bytes, start: 0, end: body.bytes.length }
    deps.quarantine.assertRoom(1, sealedLength(bytes.end))
    await deps.quarantine.add([{
      kind: 'body', reason: unread.unreadable, schemaId: body.schemaId ?? 0, content: kind, encoding: encodingOf(body.contentEncoding), source: sourceText(source),
      place: 0, requestRecords: 1, arrivedAt, bytes
    }])
    const finding: Finding = { index: 0, reason: unread.unreadable, detail: `${unread.detail}; ${REASONS[unread.unreadable]}` }
    return { status: 400, body: { received: 1, accepted: 0, quarantined: 1, rejected: [finding], fields: [] } }
  }
}

type UnreadableBody = Extract<DecodedBody, { unreadable: ReasonCode }>

function sealedLengths (failures: readonly Failure[]): number {
  return failures.reduce((sum, { record }) => sum + sealedLength(record.end - record.start), 0)
}

export function rejectedFailure (record: RejectedRecord): Failure {
  return { kind: 'record', record, reason: record.reason, field: record.field }
}

/** A sid whose key is destroyed no longer takes readings: they wait until it is known where they belong. */
export function withDestroyed (failures: readonly Failure[], destroyed: readonly SidGroup[], visit: GateVisit): Failure[] {
  const records = destroyed.flatMap(group => group.records)
  for (const { deviceId } of records) visit.willWait(deviceId, 'linkage-unavailable')
  const lost = new Set<unknown>(records)
  const waiting = records.map((record): Failure => ({ kind: 'record', record, reason: 'linkage-unavailable', field: undefined }))
  return [...failures.filter(({ record }) => !lost.has(record)), ...waiting]
}

/** What is kept of a failure; a field keeps the whole record, of which only that field is read again. */
export function itemOf ({ kind, record, reason, field }: Failure, origin: Origin, arrivedAt: EpochMs): NewItem {
  return {
    kind, reason, field, schemaId: record.schemaId, content: record.content, source: sourceText(origin), place: record.index, requestRecords: origin.records,
    deviceId: record.deviceId, eventTime: record.takenAt, sequence: 'sequence' in record ? record.sequence : undefined, arrivedAt, bytes: record
  }
}

function placeInBody ({ index }: DecodedRecord): number { return index }

export function sourceText ({ inlet, number }: SourcePosition): string { return `${inlet}/${number}` }

function findingOf ({ record, reason, field }: Failure): Finding {
  return { index: record.index, reason, detail: REASONS[reason], ...(field === undefined ? {} : { field }) }
}

function fieldFindings (failure: Failure): Finding[] {
  if (failure.kind === 'field') return [findingOf(failure)]
  return (failure.fields ?? []).map(({ field, reason }) => findingOf({ ...failure, field, reason }))
}

export function encodingOf (contentEncoding: string): BodyEncoding {
  const encoding = contentEncoding.trim().toLowerCase()
  return encoding === 'zstd' ? 'zstd' : encoding.includes('gzip') ? 'gzip' : ''
}
