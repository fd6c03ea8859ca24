import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatNumber, numberFormat, roundHalfEven } from '../../../src/stream/format-number.ts'

test.each([
  [41.2, 0.1, '41.2'], [40, 0.1, '40.0'], [0, 0.1, '0.0'], [-0, 0.1, '0.0'], [-0.04, 0.1, '0.0'], [-0.06, 0.1, '-0.1'],
  [0.25, 0.1, '0.2'], [0.35, 0.1, '0.4'], [0.15, 0.1, '0.2'], [1.005, 0.01, '1.00'], [1.015, 0.01, '1.02'], [-0.25, 0.1, '-0.2'], [-2.5, 1, '-2'], [-3.5, 1, '-4'],
  [2.5, 1, '2'], [3.5, 1, '4'], [13.01, 0.01, '13.01'], [12.9, 0.01, '12.90'], [-7, 0.01, '-7.00'], [-0.05, 0.01, '-0.05'],
  [0.3, 0.25, '0.25'], [0.125, 0.25, '0.00'], [0.375, 0.25, '0.50'], [7, 5, '5'], [7.5, 5, '10'], [12.5, 5, '10'],
  [1e-7, 0.1, '0.0'], [123456789.05, 0.01, '123456789.05'], [1e21, 1, '1000000000000000000000'], [1e22, 0.1, '10000000000000000000000.0'], [3e15, 0.1, '3000000000000000.0']
])('%d at resolution %d is written %s', (value, resolution, text) => {
  expect(formatNumber(value, numberFormat(resolution))).toBe(text)
})

test('the text is always a plain decimal with the decimals of the resolution, and reads back as the rounded number', () => {
  fc.assert(fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), fc.constantFrom(1, 0.1, 0.01, 0.001, 0.5, 0.25, 2), (value, resolution) => {
    const format = numberFormat(resolution)
    const text = formatNumber(value, format)
    expect(text).toMatch(/^-?[0-9]+([.][0-9]+)?$/)
    expect(text.split('.')[1]?.length ?? 0).toBe(format.decimals)
    expect(Object.is(Number(text), roundHalfEven(value, format))).toBe(true)
    expect(Math.abs(Number(text) - value)).toBeLessThanOrEqual(resolution / 2 + Math.abs(value) * 1e-9)
  }), { numRuns: 1000 })
})

test('a value printed at the resolution comes back exactly', () => {
  fc.assert(fc.property(fc.integer({ min: -1e6, max: 1e6 }), fc.constantFrom(0, 1, 2, 3), (units, decimals) => {
    const printed = Number((units / 10 ** decimals).toFixed(decimals))
    expect(Number(formatNumber(printed, numberFormat(10 ** -decimals)))).toBe(printed + 0)
  }), { numRuns: 1000 })
})
