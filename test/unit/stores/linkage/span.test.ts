import fc from 'fast-check'
import { expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { covers, intersect, type Span, span, subtract, toRange } from '../../../../src/stores/linkage/span.ts'

const spans = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }))
  .map(([from, length]): Span => span(epochMs(from), length === undefined ? undefined : epochMs(from + length)))
const times = Array.from({ length: 50 }, (_, time) => epochMs(time))

test('a period holds its start and not its end', () => {
  const period = span(epochMs(10), epochMs(20))
  expect([9, 10, 19, 20].map(time => covers(period, epochMs(time)))).toEqual([false, true, true, false])
})

test('intersection and difference hold exactly the right moments', () => {
  fc.assert(fc.property(spans, spans, (one, other) => {
    const common = intersect(one, other)
    const left = subtract(one, other)
    for (const time of times) {
      expect(common !== undefined && covers(common, time)).toBe(covers(one, time) && covers(other, time))
      expect(left.filter(part => covers(part, time))).toHaveLength(covers(one, time) && !covers(other, time) ? 1 : 0)
    }
  }))
})

test('a period without the nothing is itself, nothing without a period is nothing', () => {
  expect(subtract(span(epochMs(1), undefined), undefined)).toEqual([{ from: 1 }])
  expect(subtract(undefined, span(epochMs(1), undefined))).toEqual([])
})

test('a range is written half-open, in UTC', () => {
  expect(toRange(span(epochMs(0), epochMs(1500)))).toBe('["1970-01-01T00:00:00.000Z","1970-01-01T00:00:01.500Z")')
  expect(toRange(span(epochMs(0), undefined))).toBe('["1970-01-01T00:00:00.000Z",)')
  expect(toRange(undefined)).toBe('empty')
})
