/** Names of FHIR things: canonical base, identifier systems, ids made from names (fhir-modelling.md §4). */

import { hash } from 'node:crypto'
import type { Sid } from './reading.ts'
import type { EpochMs } from './units.ts'

export const CANONICAL = 'https://oxbow-fhir.github.io/ig'

/** UUIDv5(URL namespace, CANONICAL). */
export const NAMESPACE = 'ec1e6daf-3f7b-5300-bca3-38c1597a9b4a'

export type IdentifierKind =
  | 'telemetry-device' | 'device-metric' | 'device-association' | 'telemetry-window' | 'telemetry-panel' | 'telemetry-numeric'
  | 'derived-window' | 'telemetry-window-range' | 'provenance' | 'calibration' | 'software' | 'offset-range'

export function identifierSystem (kind: IdentifierKind): string { return `${CANONICAL}/identifier/${kind}` }

const NAMESPACE_BYTES = Buffer.from(NAMESPACE.replaceAll('-', ''), 'hex')

/** UUID version 5 (RFC 9562 §5.5) of `name` in {@link NAMESPACE}. */
export function uuidV5 (name: string): string {
  const bytes = Buffer.allocUnsafe(NAMESPACE_BYTES.length + Buffer.byteLength(name))
  NAMESPACE_BYTES.copy(bytes)
  bytes.write(name, NAMESPACE_BYTES.length)
  // As text, not as bytes: four times as fast.
  const digest = hash('sha1', bytes, 'hex')
  const variant = '89ab'[Number.parseInt(digest[16]!, 16) & 3]!
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-${variant}${digest.slice(17, 20)}-${digest.slice(20, 32)}`
}

/** UTC with exactly three decimals and `Z`. */
export function instant (time: EpochMs): string { return new Date(time).toISOString() }

/** ISO 8601 duration in the largest whole unit: `PT30S`, `PT1M`, `PT1H`; below a second `PT0.5S`; 0 is `PT0S`. */
export function isoDuration (ms: number): string {
  if (ms > 0 && ms % 3_600_000 === 0) return `PT${ms / 3_600_000}H`
  if (ms > 0 && ms % 60_000 === 0) return `PT${ms / 60_000}M`
  return `PT${ms / 1000}S`
}

/** The part of a window's identifier behind `<association>/`. */
export function windowName (metric: string, windowStart: EpochMs, sizeMs: number): string {
  return `${metric}/${instant(windowStart)}/${isoDuration(sizeMs)}`
}

/** Logical id of a view: the sid stands in the place of the association, so that no device can be guessed from it. */
export function viewId (kind: IdentifierKind, sid: Sid, name: string): string {
  return uuidV5(`${identifierSystem(kind)}|${sid}/${name}`)
}
