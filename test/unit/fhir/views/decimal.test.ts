import { expect, test } from 'vitest'
import { decimalText } from '../../../../src/fhir/views/decimal.ts'

test('the values of the examples are shown as they stand there', () => {
  expect(decimalText(39.6965, 0.1)).toBe('39.7')
  expect(decimalText(-6.6034, 0.1)).toBe('-6.6')
  expect(decimalText(0.0812, 0.1)).toBe('0.1')
  expect(decimalText(0.55711, 0.01)).toBe('0.56')
  expect(decimalText(0.022284, 0.0001)).toBe('0.0223')
  expect(decimalText(18, 0.1)).toBe('18')
  expect(decimalText(3.7, 0.25)).toBe('3.75')
})

test('a tie goes to the even neighbour', () => {
  expect([0.05, 0.15, 0.25, -0.15].map(value => decimalText(value, 0.1))).toEqual(['0', '0.2', '0.2', '-0.2'])
})

test('small values have no exponent, and nothing is minus zero', () => {
  expect(decimalText(1e-7, 1e-7)).toBe('0.0000001')
  expect(decimalText(-0.01, 0.1)).toBe('0')
})
