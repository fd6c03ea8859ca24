/** The ledger, row after row -> one destination. Every row is settled exactly once: delivered, skipped with its reason, or a dead letter. */

import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import { errorFields, type LogFields } from '../../observability/logger.ts'
import type { PatientName } from '../views/naming.ts'
import type { FrameTools } from '../views/observation-frame.ts'
import type { ViewContext } from '../views/view-context.ts'
import { identifierQuery } from './bundle.ts'
import type { DeadLetter, Delivered, DeliveryStore, Sending } from './delivery-store.ts'
import type { Destination, SendOutcome } from './destination.ts'
import { bundlesOf, type NumberedRow, type Parcel, type Recipient, sortRows, toBundle, witness } from './parcel.ts'

/** The ledger as it is numbered: each writer's rows from 1 on without a gap. */
export interface LedgerTail {
  writers (): Promise<readonly number[]>
  /** Ascending, above `after`, at most `limit` and none above `last`. */
  rows (writer: number, after: number, limit: number, last?: number): Promise<readonly NumberedRow[]>
}

export interface DeliveryEvents {
  delivered (outcome: 'sent' | 'failed' | 'dead-letter', count: number): void
  /** @param part the destination */
  raise (alarm: 'egress-failing' | 'egress-dead-letter', fields: LogFields, part: string): void
  clear (alarm: 'egress-failing', part: string): void
}

export interface DeliveryOptions {
  /** Most ledger rows taken at once. */ rowsMax: number
  /** First pause after a failure; doubled up to `retryMaxMs`. */ retryMinMs: number
  retryMaxMs: number
  /** Longest pause while nothing is waiting; `wake` ends it. */ idleMs: number
}

const DELIVERY_OPTIONS: DeliveryOptions = { rowsMax: 200, retryMinMs: 500, retryMaxMs: 60_000, idleMs: 1_000 }

export interface DeliveryParts {
  destination: Destination
  ledger: LedgerTail
  /** A sid whose association is gone is missing. @param firmware numbers whose texts are needed */
  contexts: (sids: readonly Sid[], firmware: Iterable<number>) => Promise<ReadonlyMap<Sid, ViewContext>>
  /** Identifier of each patient in the system (absent: its first one); a patient without is missing. */
  patientIdentifiers: (patients: readonly string[], system: string | undefined) => Promise<ReadonlyMap<string, PatientName>>
  store: DeliveryStore
  tools: FrameTools
  events: DeliveryEvents
  now: () => EpochMs
  /** Resolves after `ms` or when the signal fires. */
  pause: (ms: number, signal: AbortSignal) => Promise<void>
  options?: Partial<DeliveryOptions>
}

export interface Delivery {
  /** New rows may be there. */
  wake (): void
  /** Resolves when the send under way has its answer or was given up. */
  close (): Promise<void>
}

/** `idle`: nothing waits. `failed`: the destination did not take all of it; everything stays where it is. `isFurther`: it took some. `error`: the fault is ours. */
export type RoundResult = { result: 'idle' | 'settled' } | { result: 'failed', reason: string, error?: unknown, retryAfterMs?: number, isFurther?: boolean }

/** Starts the loop of one destination. */
export function createDelivery (parts: DeliveryParts): Delivery {
  const options = { ...DELIVERY_OPTIONS, ...parts.options }
  const stop = new AbortController()
  let idle = new AbortController()
  const running = loop()

  async function loop (): Promise<void> {
    let failures = 0
    while (!stop.signal.aborted) {
      idle = new AbortController()
      const round = await attempt()
      if (round.result === 'failed') {
        // A destination that takes some of it each time gets the rest without growing pauses.
        failures = round.isFurther === true ? 1 : failures + 1
        const { name } = parts.destination
        parts.events.raise('egress-failing', { destination: name, reason: round.reason, ...(round.error === undefined ? {} : errorFields(round.error)) }, name)
        const backOff = Math.min(options.retryMaxMs, options.retryMinMs * 2 ** Math.min(failures - 1, 20))
        await parts.pause(Math.max(backOff, round.retryAfterMs ?? 0), stop.signal)
        continue
      }
      // It may have been raised by a delivery before this one.
      parts.events.clear('egress-failing', parts.destination.name)
      failures = 0
      if (round.result === 'idle') await parts.pause(options.idleMs, AbortSignal.any([stop.signal, idle.signal]))
    }
  }

  async function attempt (): Promise<RoundResult> {
    try {
      return await deliverRound(parts, stop.signal)
    } catch (error) {
      return { result: 'failed', reason: error instanceof ServiceError ? error.code : 'internal', error }
    }
  }

  return {
    wake: () => { idle.abort() },
    async close () {
      stop.abort()
      await running
      await parts.destination.close?.()
    }
  }
}

/** One chunk of each writer. */
export async function deliverRound (parts: DeliveryParts, signal: AbortSignal): Promise<RoundResult> {
  let result: 'idle' | 'settled' = 'idle'
  for (const writer of await parts.ledger.writers()) {
    if (signal.aborted) break
    const chunk = await deliverChunk(parts, writer, signal)
    if (chunk.result === 'failed') return { ...chunk, isFurther: chunk.isFurther === true || result === 'settled' }
    if (chunk.result === 'settled') result = 'settled'
  }
  return { result }
}

async function deliverChunk (parts: DeliveryParts, writer: number, signal: AbortSignal): Promise<RoundResult> {
  const { destination, store, ledger } = parts
  const rowsMax = parts.options?.rowsMax ?? DELIVERY_OPTIONS.rowsMax
  const after = await store.cursor(destination.name, writer)
  // A mark means that these rows were being sent when something broke: the same rows again, cut the same way.
  const open = await store.sending(destination.name, writer)
  const rows = await ledger.rows(writer, after, open === undefined ? rowsMax : open.last - after, open?.last)
  if (rows.length === 0) return { result: 'idle' }
  const sending = open ?? { last: rows.at(-1)!.number, entriesMax: destination.entriesMax }
  const sorted = sortRows(rows, await recipientOf(parts, rows, sending), parts.tools)
  if (open === undefined && sorted.parcels.length > 0) await store.markSending(destination.name, writer, sending, parts.now())
  const refused = open === undefined ? undefined : await store.refused(destination.name, writer, after)
  const { sent, failed } = await sendAll(parts, writer, sorted.parcels.filter(({ number, place }) => refused?.has(`${number}/${place}`) !== true), sending, open !== undefined, signal)
  if (failed !== undefined) {
    if (sent.dead.length > 0) await store.refuse(destination.name, writer, sent.dead, parts.now())
    if (destination.holds === undefined && sent.delivered.length > 0) await store.arrived(destination.name, sent.delivered, parts.now())
    reportDead(parts, sent.dead)
    return failed
  }
  const dead = [...sorted.dead, ...sent.dead]
  await store.settle(destination.name, writer, { last: sending.last, delivered: sent.delivered, skipped: sorted.skipped, dead }, parts.now())
  reportDead(parts, dead)
  return { result: 'settled' }
}

function reportDead ({ events, destination }: DeliveryParts, dead: readonly DeadLetter[]): void {
  if (dead.length === 0) return
  events.delivered('dead-letter', dead.length)
  events.raise('egress-dead-letter', { destination: destination.name, count: dead.length }, destination.name)
}

async function recipientOf (parts: DeliveryParts, rows: readonly NumberedRow[], sending: Sending): Promise<Recipient> {
  const { destination, store } = parts
  const firmware = new Set(rows.flatMap(({ row }) => row.provenance.map(entry => entry.firmware)))
  const contexts = await parts.contexts([...new Set(rows.map(({ row }) => row.sid))], firmware)
  const patients = [...new Set([...contexts.values()].map(context => context.patient))]
  return {
    form: destination.form,
    entriesMax: sending.entriesMax,
    contexts,
    patients: await parts.patientIdentifiers(patients, destination.patientSystem),
    delivered: await store.delivered(destination.name, rows.flatMap(({ views }) => views.map(view => view.id)))
  }
}

interface Sent { delivered: Delivered[], dead: DeadLetter[] }

/** Up to the first failure. @param isUnsure some of it may have arrived already */
async function sendAll (
  parts: DeliveryParts, writer: number, parcels: readonly Parcel[], { entriesMax }: Sending, isUnsure: boolean, signal: AbortSignal
): Promise<{ sent: Sent, failed?: RoundResult }> {
  const sent: Sent = { delivered: [], dead: [] }
  const missing = isUnsure ? await stillMissing(parts, parcels, sent, signal) : parcels
  if (missing === undefined) return { sent, failed: { result: 'failed', reason: 'SEARCH' } }
  const foundCount = sent.delivered.length
  for (const bundle of bundlesOf(missing, entriesMax)) {
    const failed = await sendBundle(parts, writer, bundle, sent, signal)
    if (failed?.result === 'failed') return { sent, failed: { ...failed, isFurther: sent.delivered.length > foundCount || sent.dead.length > 0 } }
  }
  return { sent }
}

/** R4 has no conditional create of a Provenance, so the receiver is asked before anything is sent a second time (§4 rule 6). */
async function stillMissing (parts: DeliveryParts, parcels: readonly Parcel[], sent: Sent, signal: AbortSignal): Promise<Parcel[] | undefined> {
  const { destination } = parts
  if (destination.holds === undefined) return [...parcels]
  const missing: Parcel[] = []
  for (const parcel of parcels) {
    const view = witness(parcel)
    const holds = await destination.holds(identifierQuery(view, parcel.naming), view.row.issued, signal)
    if (holds === undefined) return undefined
    if (holds) sent.delivered.push(...deliveredBy([parcel]))
    else missing.push(parcel)
  }
  return missing
}

async function sendBundle (parts: DeliveryParts, writer: number, parcels: readonly Parcel[], sent: Sent, signal: AbortSignal): Promise<RoundResult | undefined> {
  if (signal.aborted) return { result: 'failed', reason: 'STOPPED' }
  const answer = await parts.destination.send(toBundle(parcels, writer, parts.destination.form, parts.tools), signal)
  if (answer.outcome === 'delivered') {
    sent.delivered.push(...deliveredBy(parcels, answer.receiverIds))
    parts.events.delivered('sent', 1)
    return undefined
  }
  if (answer.outcome === 'retry') {
    parts.events.delivered('failed', 1)
    return { result: 'failed', reason: answer.reason, ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }) }
  }
  if (parcels.length === 1) {
    sent.dead.push(deadLetter(parcels[0]!, answer))
    return undefined
  }
  // One bad row must not take its neighbours with it.
  for (const parcel of parcels) {
    const failed = await sendBundle(parts, writer, [parcel], sent, signal)
    if (failed !== undefined) return failed
  }
  return undefined
}

function deliveredBy (parcels: readonly Parcel[], receiverIds: readonly (string | undefined)[] = []): Delivered[] {
  return parcels.flatMap(({ part }) => part.views).map((view, place) => {
    const receiverId = receiverIds[place]
    return { id: view.id, revision: view.row.revision, ...(receiverId === undefined ? {} : { receiverId }) }
  })
}

function deadLetter ({ number, place, part }: Parcel, { reason, status }: Extract<SendOutcome, { outcome: 'refused' }>): DeadLetter {
  return { number, part: place, ids: part.views.map(view => view.id), revision: part.views[0]!.row.revision, reason, ...(status === undefined ? {} : { status }) }
}
