/** Two readings with one identity → what becomes of the second (fhir-modelling.md §7, row identity). */

import type { Reading } from '../model/reading.ts'
import type { FilledField } from './sink.ts'

export type Repetition =
  | { kind: 'duplicate' }
  /** Another value stands at a channel that has one: the stored reading stays. */
  | { kind: 'conflict' }
  /** Fields that are absent in the stored reading get a value; nothing present differs. */
  | { kind: 'fill', fields: readonly FilledField[] }

type Content = Pick<Reading, 'values' | 'battery' | 'quality'>

export function compareRepeated (stored: Content, repeated: Content): Repetition {
  const fills: FilledField[] = []
  for (let channel = 0; channel < repeated.values.length; channel++) {
    const value = repeated.values[channel]
    if (value === undefined) continue
    const there = stored.values[channel]
    if (there === undefined) fills.push(channel)
    else if (!Object.is(there, value) && there !== value) return { kind: 'conflict' }
  }
  for (const field of ['battery', 'quality'] as const) {
    if (repeated[field] === undefined) continue
    if (stored[field] === undefined) fills.push(field)
    else if (stored[field] !== repeated[field]) return { kind: 'conflict' }
  }
  return fills.length > 0 ? { kind: 'fill', fields: fills } : { kind: 'duplicate' }
}

/** Ascending in (takenAt, sequence). */
export function compareIdentity (a: Pick<Reading, 'takenAt' | 'sequence'>, b: Pick<Reading, 'takenAt' | 'sequence'>): number {
  return a.takenAt - b.takenAt || a.sequence - b.sequence
}
