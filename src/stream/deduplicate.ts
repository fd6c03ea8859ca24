/** Two readings with one identity → what becomes of the second (fhir-modelling.md §7, row identity). */

import type { Reading } from '../model/reading.ts'
import type { FilledField } from './sink.ts'

export interface Repetition {
  /** `conflict`: it says another value where the stored reading has one, which stays. */
  kind: 'duplicate' | 'conflict'
  /** Absent in the stored reading, present here: they take this value, in a conflict too, which concerns only what both say. */
  fills: readonly FilledField[]
}

type Content = Pick<Reading, 'values' | 'battery' | 'quality'>

export function compareRepeated (stored: Content, repeated: Content): Repetition {
  const fills: FilledField[] = []
  let kind: Repetition['kind'] = 'duplicate'
  for (let channel = 0; channel < repeated.values.length; channel++) {
    const value = repeated.values[channel]
    if (value === undefined) continue
    const there = stored.values[channel]
    if (there === undefined) fills.push(channel)
    else if (there !== value) kind = 'conflict'
  }
  for (const field of ['battery', 'quality'] as const) {
    if (repeated[field] === undefined) continue
    if (stored[field] === undefined) fills.push(field)
    else if (stored[field] !== repeated[field]) kind = 'conflict'
  }
  return { kind, fills }
}
