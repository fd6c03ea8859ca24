/** Values of one series that wander by tenths, as the recordings do: what repeats after a few requests would be stored in less than real readings are. */

export interface WanderingValues { tissueO2: number, spo2: number, quality: number }

/** @param n each series goes its own way, the same every time */
export function createWander (n: number): () => WanderingValues {
  let [oxygen, saturation, seed] = [350 + n % 100, 950 + n % 40, n + 1]
  return () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    oxygen += seed % 7 - 3
    saturation = Math.min(1_000, Math.max(900, saturation + (seed >> 8) % 3 - 1))
    return { tissueO2: oxygen / 10, spo2: saturation / 10, quality: 90 + seed % 5 }
  }
}
