/** One request's way in: decode → check and identify → publish → answer, once everything in it is durable. What fails is quarantined. */

import { REASONS, type ReasonCode } from '../model/reason.ts'
import type { EpochMs } from '../model/units.ts'
import type { Events } from '../observability/events.ts'
import type { Admit, Surplus } from './admit.ts'
import type { ArrivalCounters } from './counters.ts'
import { type BodyKind, bodyKind, type IncomingBody } from './decode/content.ts'
import { type BodyLimits, decodeBody } from './decode/decode-body.ts'
import type { DecodedBody, DecodedRecord, RecordBytes, RejectedRecord } from './decode/record.ts'
import type { Schemas } from './decode/schemas.ts'
import type { Failure, GateVisit, Identified, Identify, SidGroup } from './identify.ts'
import { type PublishDeps, publishGroups } from './publish-groups.ts'
import { type Quarantine, sealedLength } from './quarantine/quarantine.ts'
import type { BodyEncoding, NewItem } from './quarantine/quarantine-item.ts'
import { type Origin, type SourcePosition, sourceText } from './source-position.ts'

export interface AcceptDeps extends PublishDeps {
  identify: Identify
  quarantine: Pick<Quarantine, 'assertRoom' | 'add'>
  /** Of `release.ts`. */
  enterGate: () => GateVisit
  /** Of `admit.ts`; absent: no limit. */
  admit?: Admit | undefined
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

/** received = accepted + quarantined + limited. */
export interface AnswerBody {
  received: number
  accepted: number
  quarantined: number
  /** Of devices over their limit: not kept, to be sent again. Absent: none. */
  limited?: number
  /** Records that were not accepted, in order of their place. */
  rejected: readonly Finding[]
  /** Fields that were quarantined while their record was accepted, and those of a record that was rejected as `no-channel-left`. */
  fields: readonly Finding[]
}

/** 400: no record of the body could be read; it is kept in quarantine all the same. 429: the records of some devices were not kept, the rest was;
 *  sent again as a whole after `retryAfterS`, what is stored already is suppressed. */
export interface Answer { status: 200 | 400 | 429, body: AnswerBody, retryAfterS?: number }

/** Resolves when everything is durable. @throws ServiceError INPUT_TYPE, INPUT_ENCODING, INPUT_TOO_LARGE, RATE_LIMITED, BUS_FULL, QUARANTINE_FULL
 *  (nothing was stored), or unavailable STORE_UNAVAILABLE (a part may be stored: sent again, what is stored already is suppressed)
 *  @param gateway who sends, for its limit */
export type Accept = (body: IncomingBody, gateway?: string) => Promise<Answer>

interface Request { source: SourcePosition, receivedAt: EpochMs, visit: GateVisit }

export function createAccept (deps: AcceptDeps): Accept {
  let lastNumber = 0

  return async function accept (body, gateway = '') {
    const receivedAt = deps.now()
    const kind = bodyKind(body.contentType)
    const decoding = decodeBody(body, kind, deps.limits, deps.schemas)
    const sent = decoding instanceof Promise ? await decoding : decoding
    const surplus = sent.unreadable === undefined
      ? deps.admit?.(gateway, sent.records, sent.rejected.length, receivedAt)
      : deps.admit?.(gateway, NO_RECORDS, 1, receivedAt)
    const source: SourcePosition = { inlet: deps.inlet, number: ++lastNumber }
    if (sent.unreadable !== undefined) return keepBody(body, kind, sent, source, receivedAt)
    const decoded = surplus === undefined ? sent : withoutSurplus(sent, surplus)
    const visit = deps.enterGate()
    try {
      const identifying = deps.identify(decoded.records, receivedAt, visit)
      const identified = identifying instanceof Promise ? await identifying : identifying
      const isUnread = decoded.records.length === 0 && decoded.rejected.length > 0
      const failures = decoded.rejected.length === 0 ? identified.failures : [...decoded.rejected.map(rejectedFailure), ...identified.failures]
      const received = decoded.records.length + decoded.rejected.length
      const answer = await store({ ...identified, failures }, received, { source, receivedAt, visit })
      return surplus === undefined ? { status: isUnread ? 400 : 200, body: answer } : withSurplus(answer, sent, surplus)
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
      kind: 'body', reason: unread.unreadable, schemaId: body.schemaId ?? 0, namedSchema: unread.namedSchema, content: kind, encoding: encodingOf(body.contentEncoding), source: sourceText(source),
      place: 0, requestRecords: 1, arrivedAt, bytes
    }])
    const finding: Finding = { index: 0, reason: unread.unreadable, detail: `${unread.detail}; ${REASONS[unread.unreadable]}` }
    return { status: 400, body: { received: 1, accepted: 0, quarantined: 1, rejected: [finding], fields: [] } }
  }
}

const NO_RECORDS: readonly DecodedRecord[] = []

type UnreadableBody = Extract<DecodedBody, { unreadable: ReasonCode }>
type ReadBody = Extract<DecodedBody, { unreadable?: undefined }>

/** What is kept is a request of its own, numbered without gaps: what is not is no input. */
function withoutSurplus ({ records, rejected }: ReadBody, { devices }: Surplus): ReadBody {
  const kept = records.filter(({ deviceId }) => !devices.has(deviceId))
  const placeOf = new Map(placesOf(kept, rejected).map((index, place) => [index, place]))
  const renumbered = <R extends { index: number }>(record: R): R => ({ ...record, index: placeOf.get(record.index)! })
  return { records: kept.map(renumbered), rejected: rejected.map(renumbered) }
}

/** The answer on what was kept, by its places in what was sent, and which records are to be sent again. */
function withSurplus (kept: AnswerBody, { records, rejected }: ReadBody, { devices, count, retryAfterS }: Surplus): Answer {
  const places = placesOf(records.filter(({ deviceId }) => !devices.has(deviceId)), rejected)
  const asSent = (finding: Finding): Finding => ({ ...finding, index: places[finding.index]! })
  const limited = records.filter(({ deviceId }) => devices.has(deviceId)).map(({ index }): Finding => ({ index, reason: 'rate-limited', detail: REASONS['rate-limited'] }))
  const all = [...kept.rejected.map(asSent), ...limited].sort((a, b) => a.index - b.index)
  return { status: 429, body: { ...kept, received: kept.received + count, limited: count, rejected: all, fields: kept.fields.map(asSent) }, retryAfterS }
}

function placesOf (...records: readonly (readonly { index: number }[])[]): number[] {
  return records.flat().map(({ index }) => index).sort((a, b) => a - b)
}

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
