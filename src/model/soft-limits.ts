/** Soft limits of a kind of quantity (fhir-modelling.md §7): a value beyond one is kept and marked, at the door and in the stream alike. */

import type { Channel } from './device-model.ts'
import { FLAG } from './reading.ts'

const PO2_HIGH = 100
const SPO2_VERIFIED_LOW = 70
const STO2_SHOWN = { low: 15, high: 95 } as const

/** Bits of {@link FLAG} that follow from the channel's kind and the value alone. */
export function softLimitFlags ({ kind }: Pick<Channel, 'kind'>, value: number): number {
  switch (kind) {
    case 'spo2': return value < SPO2_VERIFIED_LOW ? FLAG['below-verified-accuracy'] : 0
    case 'tissue-po2': return value > PO2_HIGH ? FLAG['range-soft'] : 0
    case 'tissue-sto2': return value < STO2_SHOWN.low || value > STO2_SHOWN.high ? FLAG['display-clip'] : 0
    default: return 0
  }
}
