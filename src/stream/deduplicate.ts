/** Two readings with one identity → what becomes of the second (fhir-modelling.md §7, row identity). */

import type { Reading } from '../model/reading.ts'

export type Repetition =
  | { kind: 'duplicate' }
  /** Another value stands at a channel that has one: the stored reading stays. */
  | { kind: 'conflict' }
  /** Channels that are absent in the stored reading get a value; nothing present differs. */
  | { kind: 'fill', channels: readonly number[] }

export function compareRepeated (stored: Pick<Reading, 'values'>, repeated: Pick<Reading, 'values'>): Repetition {
  const fills: number[] = []
  for (let channel = 0; channel < repeated.values.length; channel++) {
    const value = repeated.values[channel]
    if (value === undefined) continue
    const there = stored.values[channel]
    if (there === undefined) fills.push(channel)
    else if (!Object.is(there, value) && there !== value) return { kind: 'conflict' }
  }
  return fills.length > 0 ? { kind: 'fill', channels: fills } : { kind: 'duplicate' }
}

/** Ascending in (takenAt, sequence). */
export function compareIdentity (a: Pick<Reading, 'takenAt' | 'sequence'>, b: Pick<Reading, 'takenAt' | 'sequence'>): number {
  return a.takenAt - b.takenAt || a.sequence - b.sequence
}
