import { expect, test } from 'vitest'
import type { QuantityKind } from '../../../src/model/device-model.ts'
import { FLAG } from '../../../src/model/reading.ts'
import { softLimitFlags } from '../../../src/model/soft-limits.ts'

test.each<[QuantityKind, number, number]>([
  ['spo2', 70, 0], ['spo2', 69.9, FLAG['below-verified-accuracy']],
  ['tissue-po2', 100, 0], ['tissue-po2', 100.1, FLAG['range-soft']],
  ['tissue-sto2', 15, 0], ['tissue-sto2', 14.9, FLAG['display-clip']], ['tissue-sto2', 95, 0], ['tissue-sto2', 95.1, FLAG['display-clip']],
  ['total-haemoglobin', 1e6, 0]
])('%s of %d has the flags %d', (kind, value, flags) => {
  expect(softLimitFlags({ kind }, value)).toBe(flags)
})
