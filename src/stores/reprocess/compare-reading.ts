/** What the archive says of one reading, and how it stands in the series store → what is to be done about it. Pure.
 *
 *  An original was stored under its identity; of several with one identity the store has taken each field from one of them, and which came first
 *  was decided then. So a field is right when any original says it. Nothing is taken away: a value that no original gives today may have been
 *  re-submitted, or its rule may have changed, and it stays until somebody says otherwise. */

import { FLAG, type Reading } from '../../model/reading.ts'
import { compareRepeated } from '../../stream/deduplicate.ts'
import type { FilledField } from '../../stream/sink.ts'

export type Content = Pick<Reading, 'values' | 'battery' | 'quality' | 'flags'>

export interface Verdict<O extends Content> {
  kind: 'same' | 'missing' | 'filled' | 'corrected'
  /** To be given to the stream, in this order: it stores, fills and counts them as any reading that comes late. */
  publish: readonly O[]
  /** How the row is to stand; absent: as it does. What is absent in it is left as it is. */
  row?: Content
  /** A value stands that no original that was read gives today. */
  isKept: boolean
}

/** Bits that windows take from the row; every other one follows from its values. */
const TAKEN_FLAGS = FLAG['quality-unknown'] | FLAG['firmware-unknown']

/** @param originals in the order of the archive, at least one · @param isWhole false: there may be others that were not seen, and a value may be theirs */
export function compareReading<O extends Content> (stored: Content | undefined, originals: readonly O[], isWhole: boolean): Verdict<O> {
  if (stored === undefined) return { kind: 'missing', publish: originals, isKept: false }
  const row: Content = { ...stored, values: [...stored.values] }
  const fields = fieldsOf(stored, originals)
  let [isCorrected, isKept] = [false, false]
  for (const field of fields) {
    const there = fieldOf(stored, field)
    if (there === undefined) continue
    const said = originals.map(original => fieldOf(original, field)).filter(value => value !== undefined)
    if (said.includes(there)) continue
    if (said.length === 0 || !isWhole) isKept = true
    else {
      put(row, field, said[0]!)
      isCorrected = true
    }
  }
  const publish = originals.flatMap(original => onlyAbsent(stored, original))
  const sole = publish.length === 0 && isWhole ? soleOf(originals) : undefined
  if (sole !== undefined && isSame(row, sole) && (isCorrected || ((row.flags ^ sole.flags) & TAKEN_FLAGS) !== 0)) {
    row.flags = sole.flags
    isCorrected = true
  }
  return { kind: isCorrected ? 'corrected' : publish.length > 0 ? 'filled' : 'same', publish, ...(isCorrected ? { row } : {}), isKept }
}

function fieldsOf (stored: Content, originals: readonly Content[]): FilledField[] {
  const count = Math.max(stored.values.length, ...originals.map(({ values }) => values.length))
  return [...Array(count).keys(), 'battery', 'quality']
}

function fieldOf (content: Content, field: FilledField): number | undefined {
  return typeof field === 'number' ? content.values[field] : content[field]
}

function put (row: Content, field: FilledField, value: number): void {
  if (typeof field === 'number') row.values = row.values.map((there, position) => position === field ? value : there)
  else Object.assign(row, { [field]: value })
}

/** As if it said only what is absent in the row: the stream then finds nothing else to compare. */
function onlyAbsent<O extends Content> (stored: Content, original: O): O[] {
  const { fills } = compareRepeated(stored, original)
  if (fills.length === 0) return []
  return [{
    ...original,
    values: original.values.map((value, channel) => fills.includes(channel) ? value : undefined),
    battery: fills.includes('battery') ? original.battery : undefined,
    quality: fills.includes('quality') ? original.quality : undefined
  }]
}

/** What all originals say alike; `undefined`: they differ. */
function soleOf (originals: readonly Content[]): Content | undefined {
  const [first, ...others] = originals
  return first !== undefined && others.every(other => isSame(first, other) && first.flags === other.flags) ? first : undefined
}

function isSame (a: Content, b: Content): boolean { return fieldsOf(a, [b]).every(field => fieldOf(a, field) === fieldOf(b, field)) }
