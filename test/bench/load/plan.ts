/** What the load generator sends: every reading follows from the plan, the gateway and the number of its POST. Shared by sender and checker. */

export interface LoadPlan {
  url: string
  token: string
  format: 'json' | 'avro'
  connections: number
  devices: number
  /** A gateway serves this many devices, and one POST of it holds `readingsPerDevice` of each. */
  devicesPerPost: number
  readingsPerDevice: number
  /** Event time of the first reading of the first gateway; the others begin up to `staggerMs` later, so that windows do not close all at once. */
  startAt: number
  staggerMs: number
  /** Sent again until it is answered 200, as a gateway does whose server went away. Else one failure voids the run. */
  retries?: boolean
  /** Each gateway posts once per interval; absent: as fast as it is answered. */
  intervalMs?: number
}

/** Sensors here measure once a second. */
export const PERIOD_MS = 1_000
/** Bodies differ in this many ways; a POST takes the next one each time. */
export const VARIANTS = 8
export const BATTERY_MV = 3_700
export const QUALITY = 92
export const FIRMWARE = '2.4.1'

export type PlanShape = Pick<LoadPlan, 'devices' | 'devicesPerPost' | 'readingsPerDevice' | 'startAt' | 'staggerMs'>

export function gatewayCount (plan: PlanShape): number { return Math.ceil(plan.devices / plan.devicesPerPost) }

export function deviceName (device: number): string { return `bench-${String(device).padStart(6, '0')}` }

/** Event time of reading `k` of POST number `post` of a gateway; all its devices have the same. */
export function timeOf (plan: PlanShape, gateway: number, post: number, k: number): number {
  const stagger = Math.floor(plan.staggerMs * gateway / gatewayCount(plan))
  return plan.startAt + stagger + (post * plan.readingsPerDevice + k) * PERIOD_MS
}

/** Values at one place of a body; one decimal each, of fixed width. */
export function valuesAt (variant: number, slot: number): { tissueO2: number, spo2: number } {
  return { tissueO2: (300 + (variant * 37 + slot * 13) % 200) / 10, spo2: (940 + (variant * 7 + slot * 3) % 50) / 10 }
}

/** Readings of one POST. */
export function readingsPerPost (plan: PlanShape): number { return plan.devicesPerPost * plan.readingsPerDevice }
