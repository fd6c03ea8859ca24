/** Numbers as they leave: value and resolution -> rounded half-even, decimal text without exponent. */

/** A resolution taken apart: it equals `step` / `scale`, `scale` = 10 ** `decimals`. */
export interface NumberFormat {
  decimals: number
  scale: number
  /** Whole, at least 1. */
  step: number
}

const DECIMALS_MAX = 9

/** @param resolution smallest step shown, above 0; finer than 1e-9 counts as 1e-9. */
export function numberFormat (resolution: number): NumberFormat {
  for (let decimals = 0; decimals <= DECIMALS_MAX; decimals++) {
    const scale = 10 ** decimals
    const step = Math.round(resolution * scale)
    if (step >= 1 && Math.abs(resolution * scale - step) < 1e-7) return { decimals, scale, step }
  }
  const scale = 10 ** DECIMALS_MAX
  return { decimals: DECIMALS_MAX, scale, step: Math.max(1, Math.round(resolution * scale)) }
}

/** Nearest multiple of the resolution, a tie to the even one; a distance from the tie below float noise is a tie. Never −0. */
export function roundHalfEven (value: number, format: NumberFormat): number {
  return units(value, format) / format.scale
}

/** As {@link roundHalfEven}, with exactly the decimals of the resolution: `41.2`, `40.0`, never an exponent or `-0`. */
export function formatNumber (value: number, format: NumberFormat): string {
  const whole = units(value, format)
  if (format.decimals === 0) return Math.abs(whole) < 1e15 ? String(whole) : BigInt(whole).toString()
  if (Math.abs(whole) >= 1e15) return fixedLarge(whole, format)
  const size = whole < 0 ? -whole : whole
  const before = Math.floor(size / format.scale)
  const after = String(size - before * format.scale)
  const text = before + '.' + (after.length === format.decimals ? after : after.padStart(format.decimals, '0'))
  return whole < 0 ? '-' + text : text
}

/** The rounded value in units of 1 / `scale`. */
function units (value: number, { scale, step }: NumberFormat): number {
  const scaled = step === 1 ? value * scale : value * scale / step
  const below = Math.floor(scaled)
  const rest = scaled - below - 0.5
  // 1.005 is stored a hair below its tie: what was printed decides, not how binary holds it.
  const isTie = Math.abs(rest) <= 1e-9 + Math.abs(scaled) * 4e-16
  const count = isTie ? (below % 2 === 0 ? below : below + 1) : rest < 0 ? below : below + 1
  return count * step + 0
}

function fixedLarge (whole: number, { decimals, scale }: NumberFormat): string {
  const value = whole / scale
  return Math.abs(value) < 1e21 ? value.toFixed(decimals) : `${BigInt(value)}.${'0'.repeat(decimals)}`
}
