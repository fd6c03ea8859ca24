import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FLAG } from '../../../../src/model/reading.ts'
import { millivolt, percent } from '../../../../src/model/units.ts'
import { compareReading, type Content } from '../../../../src/stores/reprocess/compare-reading.ts'
import { compareRepeated } from '../../../../src/stream/deduplicate.ts'

function content (parts: Partial<Content> = {}): Content { return { values: [41.2, 97.5], battery: millivolt(3700), quality: percent(93), flags: 0, ...parts } }

/** A few values, so that two often meet; a quality that was refused leaves its flag. */
const contents: fc.Arbitrary<Content> = fc.record({
  values: fc.array(fc.option(fc.constantFrom(1, 2, 3), { nil: undefined }), { maxLength: 3 }),
  battery: fc.option(fc.constantFrom(3_600, 3_700).map(millivolt), { nil: undefined }),
  quality: fc.option(fc.constantFrom(90, 91).map(percent), { nil: undefined }),
  isRefused: fc.boolean(),
  others: fc.constantFrom(0, FLAG['firmware-unknown'], FLAG['range-soft'])
}).map(({ isRefused, others, ...rest }) => ({ ...rest, flags: others | (isRefused && rest.quality === undefined ? FLAG['quality-unknown'] : 0) }))

/** As the stream stores one after the other under one identity. */
function stored (there: Content | undefined, arrivals: readonly Content[]): Content | undefined {
  for (const arrival of arrivals) {
    if (there === undefined) { there = arrival; continue }
    const row: Content = { ...there, values: [...there.values] }
    for (const field of compareRepeated(there, arrival).fills) {
      if (typeof field === 'number') Object.assign(row.values, { [field]: arrival.values[field] })
      else if (field === 'battery') row.battery = arrival.battery
      else Object.assign(row, { quality: arrival.quality, flags: row.flags & ~FLAG['quality-unknown'] })
    }
    there = row
  }
  return there
}

function says (row: Content): unknown { return [[0, 1, 2].map(channel => row.values[channel]), row.battery, row.quality, row.flags] }

const many = fc.array(contents, { minLength: 1, maxLength: 4 })

test('whatever came in under one identity, and in whatever order the archive gives it: nothing is to be done', () => {
  fc.assert(fc.property(many.chain(all => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))), ([all, shuffled]) => {
    expect(compareReading(stored(undefined, all), shuffled, true)).toEqual({ kind: 'same', publish: [], isKept: false })
  }))
})

test('done once, nothing is left to be done; and no value is taken away', () => {
  fc.assert(fc.property(fc.option(contents, { nil: undefined }), many, (there, originals) => {
    const { publish, row } = compareReading(there, originals, true)
    const after = stored(row ?? there, publish)!
    for (const channel of [0, 1, 2]) if (there?.values[channel] !== undefined) expect(after.values[channel]).toBeDefined()
    const again = compareReading(after, originals, true)
    // Flags are looked at once nothing is to be filled any more.
    const last = again.row ?? after
    expect([again.publish, says({ ...last, flags: 0 })]).toEqual([[], says({ ...after, flags: 0 })])
    expect(compareReading(last, originals, true)).toMatchObject({ kind: 'same', publish: [] })
  }))
})

test('a reading that is missing goes to the stream as it came, all that came under its identity', () => {
  const [first, second] = [content(), content({ values: [1] })]
  expect(compareReading(undefined, [first, second], true)).toEqual({ kind: 'missing', publish: [first, second], isKept: false })
})

test('of what is absent only that is published', () => {
  const verdict = compareReading(content({ values: [41.2] }), [content()], true)
  expect(verdict).toEqual({ kind: 'filled', publish: [content({ values: [undefined, 97.5], battery: undefined, quality: undefined })], isKept: false })
})

test('a value that no original gives gives way to the first that one gives', () => {
  const verdict = compareReading(content({ values: [40, 97.5], flags: FLAG['range-soft'] }), [content({ values: [undefined, 97.5] }), content({ values: [41, 97.5] }), content({ values: [42, 97.5] })], true)
  expect(verdict).toEqual({ kind: 'corrected', publish: [], row: content({ values: [41, 97.5], flags: FLAG['range-soft'] }), isKept: false })
})

test('a value that its original does not give any more stays, and is told of', () => {
  expect(compareReading(content(), [content({ values: [undefined, 97.5] })], true)).toEqual({ kind: 'same', publish: [], isKept: true })
})

test('flags that windows take from the row follow the original; those that follow from values do not make a change', () => {
  const original = content({ flags: FLAG['firmware-unknown'] | FLAG['range-soft'] })
  expect(compareReading(content(), [original], true).row?.flags).toBe(original.flags)
  expect(compareReading(content({ flags: FLAG['firmware-unknown'] }), [original], true).kind).toBe('same')
  expect(compareReading(content(), [original, content()], true).kind).toBe('same')
})

test('where some originals could not be read nothing is corrected: the value may be theirs', () => {
  const [there, other] = [content({ flags: FLAG['firmware-unknown'] }), content({ values: [40, 97.5] })]
  expect(compareReading(there, [other], false)).toEqual({ kind: 'same', publish: [], isKept: true })
  expect(compareReading(there, [other], true).kind).toBe('corrected')
  expect(compareReading(content({ values: [41.2] }), [other], false)).toMatchObject({ kind: 'filled', isKept: true })
})
