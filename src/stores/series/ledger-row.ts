/** The words of the ledger as read back: rows of closed windows and the ids of their Observations. Series stand by number. */

import type { ModelKey, Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { ViewKind, WindowRevision } from '../../model/window.ts'
import type { LedgerKey } from '../../stream/sink.ts'

/** `number` counts the rows of its writer without a gap, in order of commit. */
export interface LedgerRow extends WindowRevision {
  series: number
  writer: number
  number: number
}

/** One Observation id and the window it belongs to. */
export interface ViewRow extends LedgerKey {
  id: string
  kind: ViewKind
  /** Of the sample; only for `single`. */
  takenAt?: EpochMs
  sequence?: number
}

/** A view id resolved. `latest`: the newest revision of its window; it may hold another form than the view's, which is then withdrawn. */
export interface FoundView {
  view: ViewRow
  sid: Sid
  model: ModelKey
  latest: LedgerRow
}
