/** A physiologically plausible tissue-oxygen sensor: baseline, breathing, desaturation episodes, slow drift, drop-outs. Pure: seed and time decide everything. */

export interface SimulatedPatient {
  seed: number
  /** Resting tissue pO2, mm[Hg]. */
  baseline: number
  /** Drift of the sensor, mm[Hg] per hour. */
  driftPerHour: number
}

export interface SimulatedSample {
  tissuePo2: number
  /** Absent while the pulse cannot be found. */
  spo2?: number
  signalQuality: number
  batteryMv: number
}

const EPISODE_EVERY_S = 900
const EPISODE_LENGTH_S = 150

/** Mulberry32 over two whole numbers: the same pair gives the same number in [0, 1). */
export function noise (seed: number, index: number): number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index | 0, 0x85ebca6b)) >>> 0
  state = (state + 0x6d2b79f5) >>> 0
  state = Math.imul(state ^ (state >>> 15), state | 1)
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61)
  return ((state ^ (state >>> 14)) >>> 0) / 4_294_967_296
}

export function patientOf (seed: number): SimulatedPatient {
  return { seed, baseline: 34 + 14 * noise(seed, 1), driftPerHour: 2 * noise(seed, 2) - 1 }
}

/** @param atMs since the sensor was applied. `undefined`: a drop-out, the sensor sends nothing. */
export function sampleOf (patient: SimulatedPatient, atMs: number): SimulatedSample | undefined {
  const seconds = atMs / 1000
  if (noise(patient.seed, Math.floor(seconds / 20) + 7_000_000) < 0.01) return undefined
  const depth = episodeDepth(patient, seconds)
  const breathing = 0.6 * Math.sin(2 * Math.PI * seconds / 4.2)
  const slow = 1.5 * Math.sin(2 * Math.PI * seconds / 310 + patient.seed)
  const jitter = noise(patient.seed, Math.round(atMs)) - 0.5
  const drift = patient.driftPerHour * seconds / 3600
  const tissuePo2 = Math.min(158, Math.max(1, patient.baseline + slow + breathing + drift - 22 * depth + jitter))
  const isPulseLost = noise(patient.seed, Math.floor(seconds / 45) + 3_000_000) < 0.04
  const sample: SimulatedSample = {
    tissuePo2: Math.round(tissuePo2 * 10) / 10,
    signalQuality: Math.round(Math.max(20, 94 - 25 * depth - 8 * Math.abs(jitter))),
    batteryMv: Math.round(4_150 - 0.018 * seconds % 900)
  }
  return isPulseLost ? sample : { ...sample, spo2: Math.round(Math.min(100, 97.5 - 9 * depth + jitter) * 10) / 10 }
}

/** 0 at rest, up to 1 in the trough of an episode: falls quickly, recovers slowly. */
function episodeDepth (patient: SimulatedPatient, seconds: number): number {
  const episode = Math.floor(seconds / EPISODE_EVERY_S)
  const start = episode * EPISODE_EVERY_S + noise(patient.seed, episode + 1_000) * (EPISODE_EVERY_S - 2 * EPISODE_LENGTH_S)
  const into = seconds - start
  if (into < 0 || into > 2 * EPISODE_LENGTH_S) return 0
  const size = 0.3 + 0.7 * noise(patient.seed, episode + 2_000)
  return into < EPISODE_LENGTH_S
    ? size * Math.sin(Math.PI / 2 * into / EPISODE_LENGTH_S)
    : size * Math.cos(Math.PI / 2 * (into - EPISODE_LENGTH_S) / EPISODE_LENGTH_S)
}
