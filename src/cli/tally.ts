/** Answers of the ingest API → what became of everything that was sent, and by which reasons. */

import type { TelemetryAnswer } from './telemetry-client.ts'

export interface Tally {
  received: number
  accepted: number
  quarantined: number
  /** Records that were quarantined, by reason. */
  reasons: Record<string, number>
  /** Fields that were quarantined while the rest of their record was accepted, by reason. */
  fieldReasons: Record<string, number>
}

export function emptyTally (): Tally { return { received: 0, accepted: 0, quarantined: 0, reasons: {}, fieldReasons: {} } }

export function addAnswer (tally: Tally, answer: TelemetryAnswer): void {
  tally.received += answer.received
  tally.accepted += answer.accepted
  tally.quarantined += answer.quarantined
  for (const { reason } of answer.rejected ?? []) tally.reasons[reason] = (tally.reasons[reason] ?? 0) + 1
  for (const { reason } of answer.fields ?? []) tally.fieldReasons[reason] = (tally.fieldReasons[reason] ?? 0) + 1
}

/** The counts, the result of a verb. */
export function countsLine ({ received, accepted, quarantined }: Tally): string {
  return `sent ${received}, accepted ${accepted}, quarantined ${quarantined}\n`
}

/** Lines for people; '' when nothing was quarantined. */
export function quarantineLines (verb: string, { reasons, fieldReasons }: Tally): string {
  const line = (what: string, counts: Record<string, number>): string => {
    const all = Object.entries(counts).sort(([, a], [, b]) => b - a)
    return all.length === 0 ? '' : `oxbow ${verb}: ${what} quarantined: ${all.map(([reason, count]) => `${count} ${reason}`).join(', ')}\n`
  }
  return line('readings', reasons) + line('single fields', fieldReasons)
}
