/** Messages of a topic's partitions → taken in together: each is decoded by itself, all (or portions of them) are identified and appended at once, so that their order
 *  is kept, and what fails is quarantined with the offset it came at. Nobody is there to be answered: what HTTP refuses is kept here too. */

import { ServiceError } from '../model/errors.ts'
import type { ReasonCode } from '../model/reason.ts'
import type { EpochMs } from '../model/units.ts'
import { type AcceptDeps, encodingOf, itemOf, rejectedFailure, withDestroyed } from './accept.ts'
import { fractionsByBody } from './check-reading.ts'
import { bodyKind, type IncomingBody } from './decode/content.ts'
import { decodeBody } from './decode/decode-body.ts'
import type { DecodedBody, DecodedRecord } from './decode/record.ts'
import type { Failure } from './identify.ts'
import { publishGroups } from './publish-groups.ts'
import { sealedLength } from './quarantine/quarantine.ts'
import type { NewItem } from './quarantine/quarantine-item.ts'
import { type Origin, type SourcePosition, sourceText } from './source-position.ts'

export interface IncomingMessage extends IncomingBody { source: SourcePosition }

/** received = accepted + quarantined. */
export interface Taken { received: number, accepted: number, quarantined: number }

/** Resolves when everything is durable. @throws ServiceError BUS_FULL, QUARANTINE_FULL, or unavailable STORE_UNAVAILABLE (a part may be stored: taken in again, what is stored already is suppressed) */
export type AcceptMessages = (messages: readonly IncomingMessage[]) => Promise<Taken>

/** A message as it was read. */
interface Opened { message: IncomingMessage, decoded: DecodedBody, origin: Origin }

/** Most bytes of records that are taken in at once: a message of a container file may hold many times its size. */
const PORTION_BYTES_MAX = 16 * 1024 * 1024
/** What does not stop the others. */
const REFUSED: ReadonlyMap<string, ReasonCode> = new Map([['INPUT_TOO_LARGE', 'record-too-large'], ['INPUT_ENCODING', 'malformed'], ['INPUT_TYPE', 'malformed']])

export function createAcceptMessages (deps: Omit<AcceptDeps, 'inlet'>): AcceptMessages {
  async function acceptMessages (messages: readonly IncomingMessage[]): Promise<Taken> {
    const receivedAt = deps.now()
    let all: Taken = { received: 0, accepted: 0, quarantined: 0 }
    let [portion, bytes]: [Opened[], number] = [[], 0]
    for (const message of messages) {
      const opened = openedOf(message, await decoded(message))
      portion.push(opened)
      bytes += bytesOf(opened)
      if (bytes < PORTION_BYTES_MAX) continue
      all = sum(all, await takeInPortion(portion, receivedAt));
      [portion, bytes] = [[], 0]
    }
    return portion.length === 0 ? all : sum(all, await takeInPortion(portion, receivedAt))
  }

  async function takeInPortion (opened: readonly Opened[], receivedAt: EpochMs): Promise<Taken> {
    try {
      return await takeIn(opened, receivedAt)
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === 'BUS_RECORD_TOO_LARGE')) throw error
      // What one patient sent in all of them fits no record of the bus: one after the other.
      if (opened.length === 1) return takeIn([openedOf(opened[0]!.message, { unreadable: 'record-too-large', detail: '' })], receivedAt)
      let each: Taken = { received: 0, accepted: 0, quarantined: 0 }
      for (const one of opened) each = sum(each, await takeInPortion([one], receivedAt))
      return each
    }
  }

  async function decoded (message: IncomingMessage): Promise<DecodedBody> {
    try {
      return await decodeBody(message, bodyKind(message.contentType), deps.limits, deps.schemas)
    } catch (error) {
      const reason = error instanceof ServiceError ? REFUSED.get(error.code) : undefined
      if (reason === undefined) throw error
      return { unreadable: reason, detail: '' }
    }
  }

  /** As in `accept.ts`: room is asked for before the append, and readings go before failures, which would be kept twice. */
  async function takeIn (opened: readonly Opened[], receivedAt: EpochMs): Promise<Taken> {
    const { records, bodies, rejected, unread, origins } = sorted(opened)
    const originOf = (record: DecodedRecord | Failure['record']): Origin => origins.get(record)!
    const visit = deps.enterGate()
    try {
      const arrivals = { arrivedAt: records.map(() => receivedAt), areFractions: fractionsByBody(records, bodies) }
      const { groups, failures } = await deps.identify(records, arrivals, visit)
      const bodyItems = unread.map(one => itemOfBody(one, receivedAt))
      const found = [...rejected, ...failures]
      const lengths = [...bodyItems.map(({ bytes }) => bytes), ...found.map(({ record }) => record)].map(({ start, end }) => sealedLength(end - start))
      if (lengths.length > 0) deps.quarantine.assertRoom(lengths.length, lengths.reduce((all, length) => all + length))
      const destroyed = await publishGroups(deps, groups, { way: 'arrived', originOf, placeOf: ({ index }) => index })
      const all = destroyed.length === 0 ? found : withDestroyed(found, destroyed, visit)
      const order = new Map(opened.map(({ origin }, place) => [sourceText(origin), place]))
      const items = [...bodyItems, ...all.map(failure => itemOf(failure, originOf(failure.record), receivedAt))].sort((a, b) => order.get(a.source)! - order.get(b.source)!)
      if (items.length > 0) await deps.quarantine.add(items)
      const received = unread.length + records.length + rejected.length
      const quarantined = unread.length + all.filter(({ kind }) => kind === 'record').length
      const accepted = received - quarantined
      if (accepted > 0) {
        deps.counters.accepted(receivedAt, accepted)
        deps.events.accepted(accepted)
      }
      return { received, accepted, quarantined }
    } finally {
      visit.end()
    }
  }

  return acceptMessages
}

function openedOf (message: IncomingMessage, decoded: DecodedBody): Opened {
  const records = decoded.unreadable === undefined ? decoded.records.length + decoded.rejected.length : 1
  return { message, decoded, origin: { ...message.source, records } }
}

function bytesOf ({ message, decoded }: Opened): number {
  if (decoded.unreadable !== undefined) return message.bytes.length
  return [...decoded.records, ...decoded.rejected].reduce((bytes, { start, end }) => bytes + end - start, message.bytes.length)
}

interface Sorted { records: DecodedRecord[], bodies: string[], rejected: Failure[], unread: Opened[], origins: Map<Failure['record'], Origin> }

/** In the order of the messages. `bodies`: of each record, what tells its message from others. */
function sorted (opened: readonly Opened[]): Sorted {
  const all: Sorted = { records: [], bodies: [], rejected: [], unread: [], origins: new Map() }
  for (const one of opened) {
    const { decoded, origin } = one
    if (decoded.unreadable !== undefined) { all.unread.push(one); continue }
    const body = sourceText(origin)
    for (const record of decoded.records) {
      all.records.push(record)
      all.bodies.push(body)
      all.origins.set(record, origin)
    }
    for (const record of decoded.rejected) {
      all.rejected.push(rejectedFailure(record))
      all.origins.set(record, origin)
    }
  }
  return all
}

function itemOfBody ({ message, decoded, origin }: Opened, arrivedAt: EpochMs): NewItem {
  if (decoded.unreadable === undefined) throw new ServiceError('fault', 'INTERNAL', 'a message that was read is kept as one that was not')
  return {
    kind: 'body', reason: decoded.unreadable, schemaId: message.schemaId ?? 0, namedSchema: decoded.namedSchema, content: bodyKind(message.contentType), encoding: encodingOf(message.contentEncoding), source: sourceText(origin),
    place: 0, requestRecords: 1, arrivedAt, bytes: { source: message.bytes, start: 0, end: message.bytes.length }
  }
}

function sum (a: Taken, b: Taken): Taken { return { received: a.received + b.received, accepted: a.accepted + b.accepted, quarantined: a.quarantined + b.quarantined } }
