import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type CurvePoint, SPARKLINE_HEIGHT, SPARKLINE_WIDTH, sparkline } from '../../../src/dashboard/sparkline.ts'
import { epochMs } from '../../../src/model/units.ts'

const point = (second: number, value: number | undefined): CurvePoint => ({ at: epochMs(1_700_000_000_000 + second * 1_000), value })
const lineOf = (svg: string): string => /class="line" d="([^"]*)"/.exec(svg)?.[1] ?? ''
const draw = (points: readonly CurvePoint[]) => sparkline(points, { label: 'curve' })

test('no points and only gaps give a picture without a line', () => {
  expect(draw([])).not.toContain('<path')
  expect(draw([point(0, undefined), point(1, Number.NaN)])).not.toContain('<path')
})

test('a value that is absent breaks the line', () => {
  expect(lineOf(draw([point(0, 1), point(1, 2), point(2, undefined), point(3, 3), point(4, 4)])).match(/M/g)).toHaveLength(2)
})

test('points further apart than the gap are not joined', () => {
  expect(lineOf(draw([point(0, 1), point(5, 2), point(60, 3)])).match(/M/g)).toHaveLength(2)
})

test('the highest value is drawn highest, the newest furthest to the right', () => {
  expect(lineOf(draw([point(0, 10), point(1, 30), point(2, 20)]))).toBe(`M6 ${SPARKLINE_HEIGHT - 6}L150 6L${SPARKLINE_WIDTH - 6} ${SPARKLINE_HEIGHT / 2}`)
})

test('one point and a flat curve lie in the middle', () => {
  expect(lineOf(draw([point(0, 5)]))).toBe(`M${SPARKLINE_WIDTH - 6} ${SPARKLINE_HEIGHT / 2}h0`)
  expect(lineOf(draw([point(0, 5), point(1, 5)]))).toBe(`M6 ${SPARKLINE_HEIGHT / 2}L${SPARKLINE_WIDTH - 6} ${SPARKLINE_HEIGHT / 2}`)
})

test('a label from outside cannot leave its attribute', () => {
  expect(sparkline([], { label: '"><script>' })).toContain('aria-label="&quot;&gt;&lt;script&gt;"')
})

test('everything drawn lies inside the picture', () => {
  const points = fc.array(fc.tuple(fc.nat({ max: 20_000 }), fc.double({ min: -1e9, max: 1e9, noNaN: true })), { minLength: 1, maxLength: 200 })
    .map(pairs => pairs.sort(([a], [b]) => a - b).map(([ms, value]) => point(ms / 1_000, value)))
  fc.assert(fc.property(points, list => {
    for (const [, x, y] of draw(list).matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(0)
      expect(Number(x)).toBeLessThanOrEqual(SPARKLINE_WIDTH)
      expect(Number(y)).toBeGreaterThanOrEqual(0)
      expect(Number(y)).toBeLessThanOrEqual(SPARKLINE_HEIGHT)
    }
  }))
})
