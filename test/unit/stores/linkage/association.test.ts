import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { planRelabelling } from '../../../../src/stores/linkage/association.ts'
import { covers, type Span, span } from '../../../../src/stores/linkage/span.ts'

const sid = (n: number) => `sid-${n}` as Sid

test('lost time that nobody covers has no target', () => {
  expect(planRelabelling({ from: epochMs(5) }, [])).toEqual([{ span: { from: 5 } }])
})

test('each moment of the lost time goes to the association that covers it', () => {
  const others = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 5 })), { maxLength: 5 }).map(parts => {
    let time = 0
    return parts.map(([gap, length], n) => {
      const from = time + gap
      time = from + length
      return { sid: sid(n), span: span(epochMs(from), n === parts.length - 1 && length === 5 ? undefined : epochMs(time)) }
    })
  })
  const lost = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }))
    .map(([from, length]): Span => span(epochMs(from), length === undefined ? undefined : epochMs(from + length)))
  fc.assert(fc.property(lost, others, (gone, covering) => {
    const pieces = planRelabelling(gone, covering)
    for (let at = 0; at < 60; at++) {
      const time = epochMs(at)
      const found = pieces.filter(piece => covers(piece.span, time))
      if (!covers(gone, time)) expect(found).toEqual([])
      else {
        expect(found).toHaveLength(1)
        expect(found[0]?.target).toBe(covering.find(other => covers(other.span, time))?.sid)
      }
    }
  }))
})
