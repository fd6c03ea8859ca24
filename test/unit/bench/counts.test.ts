import { expect, test } from 'vitest'
import { assertTotals, drawReadings, type Totals } from '../../bench/counts.ts'
import { timeOf, valuesAt } from '../../bench/load/plan.ts'

const BEFORE: Totals = { accepted: 1_000, stored: 900, suppressed: 100, quarantined: 7 }
const after = (more: Partial<Totals>): Totals => ({ ...BEFORE, ...more })
const EXPECTED = { acked: 500, duplicates: 0 }

test('stored = acknowledged, with a row for each, is good', () => {
  expect(() => assertTotals(BEFORE, after({ accepted: 1_500, stored: 1_400 }), EXPECTED, 500)).not.toThrow()
})

test('intended duplicates are suppressed, not stored', () => {
  expect(() => assertTotals(BEFORE, after({ accepted: 1_500, stored: 1_380, suppressed: 120 }), { acked: 500, duplicates: 20 }, 480)).not.toThrow()
})

test('one reading that is missing, doubled, quarantined or not counted is a wrong result', () => {
  expect(() => assertTotals(BEFORE, after({ accepted: 1_499, stored: 1_399 }), EXPECTED, 499)).toThrow('500 acknowledged')
  expect(() => assertTotals(BEFORE, after({ accepted: 1_500, stored: 1_400 }), EXPECTED, 499)).toThrow('499 rows')
  expect(() => assertTotals(BEFORE, after({ accepted: 1_500, stored: 1_400 }), EXPECTED, 501)).toThrow('501 rows')
  expect(() => assertTotals(BEFORE, after({ accepted: 1_500, stored: 1_400, quarantined: 8 }), EXPECTED, 500)).toThrow('quarantined 1')
  expect(() => assertTotals(BEFORE, after({ accepted: 1_501, stored: 1_400 }), EXPECTED, 500)).toThrow('the stream took 501')
})

test('readings are drawn only from what was acknowledged in the stretch', () => {
  const plan = { devices: 40, devicesPerPost: 10, readingsPerDevice: 10, startAt: 1_000_000, staggerMs: 60_000 }
  const drawn = drawReadings(plan, [3, 0, 5, 2], [4, 0, 5, 4], 200, device => device + 100)
  expect(drawn).toHaveLength(200)
  for (const { series, takenAt, ...values } of drawn) {
    const [device, gateway] = [series - 100, Math.floor((series - 100) / 10)]
    expect([0, 3]).toContain(gateway)
    const [from, until] = gateway === 0 ? [3, 4] : [2, 4]
    expect(takenAt).toBeGreaterThanOrEqual(timeOf(plan, gateway, from, 0))
    expect(takenAt).toBeLessThan(timeOf(plan, gateway, until, 0))
    const seconds = (takenAt - timeOf(plan, gateway, 0, 0)) / 1_000
    expect(values).toEqual(valuesAt(Math.floor(seconds / 10) % 8, (seconds % 10) * 10 + device % 10))
  }
})
