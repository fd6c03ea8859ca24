/** A number and its resolution -> the decimal that stands in a resource. */

import { formatNumber, numberFormat, roundHalfEven } from '../../stream/format-number.ts'

/** Rounded half-even, without an exponent and without zeros at the end: `39.7`, `-6.6`, `18`. */
export function decimalText (value: number, resolution: number): string {
  const format = numberFormat(resolution)
  const text = String(roundHalfEven(value, format))
  return text.includes('e') ? formatNumber(value, format) : text
}
