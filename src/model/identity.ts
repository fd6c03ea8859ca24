/** Answered questions about who a reading belongs to; implemented by the linkage store, handed in by `system.ts`. */

import type { Calibration } from './calibration.ts'
import type { ModelKey, Sid } from './reading.ts'
import type { ReasonCode } from './reason.ts'
import type { EpochMs } from './units.ts'

export type Resolution =
  | { sid: Sid, model: ModelKey, reason?: undefined }
  | { sid?: undefined, model?: ModelKey, reason: Extract<ReasonCode, 'device-unknown' | 'not-associated' | 'patient-mismatch' | 'linkage-unavailable'> }

/** Device and event time (and the payload's patient, compared with the association) → sid valid at that time.
 *  Answers at once from its cache where it can, so that the hot path does not await. Never throws for data. */
export type SidResolver = (deviceId: string, takenAt: EpochMs, patientId?: string) => Resolution | Promise<Resolution>

/** What the stream must know of a sid; nothing here says who or which device. */
export interface SidContext {
  sid: Sid
  model: ModelKey
  /** Half-open period of the association. `validUntil` absent: still worn. */
  validFrom: EpochMs
  validUntil?: EpochMs
  /** Every recorded calibration of the device's metrics, any order. */
  calibrations: readonly Calibration[]
}

/** Contexts of the given sids; a sid that no longer exists is missing from the map. */
export type SidContexts = (sids: readonly Sid[]) => Promise<ReadonlyMap<Sid, SidContext>>

/** Number of a firmware version text; the same text always has the same number. `''` is 0. */
export type FirmwareNumber = (version: string) => number | Promise<number>
