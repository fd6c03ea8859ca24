/** The operators of the stream in their order, their settings and the device models -> the digest that every derived point carries. */

import { hash } from 'node:crypto'
import { type DeviceModels, modelKey } from '../model/device-model.ts'
import type { Deficits } from './close-window.ts'

/** A change of what an operator computes raises its version, so that points made before and after can be told apart. */
export const OPERATORS = [
  'deduplicate@2', 'calibrate@1', 'plausibility@1', 'window@1', 'sample-grid@1', 'window-statistics@1', 'tod@1', 'last-value@1', 'format-number@1'
] as const

/** Settings that change results; durations in ms. */
export interface DagSettings {
  windowMs: number
  windowSizes: Readonly<Record<string, number>>
  latenessMs: number
  silenceMs: number
  deficits: Deficits
}

/** `sha256:` and 64 hex digits; the order in which settings, models and their fields were written down does not matter, that of channels does. */
export function dagDigest ({ windowMs, windowSizes, latenessMs, silenceMs, deficits }: DagSettings, models: DeviceModels): string {
  const byKey = Object.fromEntries([...models.values()].map((model) => [modelKey(model), model]))
  const facts = { operators: OPERATORS, windowMs, windowSizes, latenessMs, silenceMs, deficits, models: byKey }
  return `sha256:${hash('sha256', JSON.stringify(facts, inKeyOrder))}`
}

function inKeyOrder (_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
