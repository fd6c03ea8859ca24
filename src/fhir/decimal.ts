/** Numbers as they are shown: rounded half-even to a resolution, without an exponent. */

/** Nearest multiple of `resolution`, half to even. A tie is one within the rounding error of binary fractions. */
export function roundHalfEven (value: number, resolution: number): number {
  const scaled = value / resolution
  const below = Math.floor(scaled)
  const rest = scaled - below
  const isTie = Math.abs(rest - 0.5) < 1e-9 * Math.max(1, Math.abs(scaled))
  const steps = isTie ? (below % 2 === 0 ? below : below + 1) : Math.round(scaled)
  return Number((steps * resolution).toFixed(decimalsOf(resolution))) + 0
}

/** Decimal text of the rounded value: `39.7`, `-6.6`, `18`. */
export function decimalText (value: number, resolution: number): string {
  const rounded = roundHalfEven(value, resolution)
  const text = String(rounded)
  return text.includes('e') ? rounded.toFixed(decimalsOf(resolution)) : text
}

const known = [1, 0.1, 0.01, 0.001, 0.0001]

function decimalsOf (resolution: number): number {
  const place = known.indexOf(resolution)
  if (place >= 0) return place
  for (let decimals = 0; decimals < 12; decimals++) {
    const scaled = resolution * 10 ** decimals
    if (Math.abs(scaled - Math.round(scaled)) < 1e-9 * Math.max(1, scaled)) return decimals
  }
  return 12
}
