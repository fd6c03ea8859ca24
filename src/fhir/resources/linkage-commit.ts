/** What a committed transaction changed, for whoever keeps answers made from it (resolver, contexts, release, jobs). */

import type { Sid } from '../../model/reading.ts'
import type { Span } from '../../stores/linkage/span.ts'
import type { StoredType } from './resource-store.ts'

export interface LinkageCommit {
  changes: readonly { type: StoredType, id: string, version: number }[]
  /** Logical ids of Devices whose name, model, associations, metrics or patients' identifiers changed. */
  devices: readonly string[]
  /** Sids whose period or calibrations changed, or that are new. */
  sids: readonly Sid[]
  /** Time in which a device newly belongs to somebody: what waits in quarantine for it can be released. `telemetry`: the name in telemetry. */
  gained: readonly { device: string, telemetry: string, span: Span }[]
  /** Ids of jobs recorded. */
  relabelJobs: readonly number[]
  recalibrationJobs: readonly number[]
}
