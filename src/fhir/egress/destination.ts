/** Where Bundles go: a FHIR base URL, a folder, a topic of the receiver's. One seam, three kinds. */

import type { EpochMs } from '../../model/units.ts'

export interface OutgoingBundle {
  /** Stable: the same rows have the same name at every attempt. Says nothing about anybody. */
  name: string
  /** JSON text of the Bundle, in the form of the destination. */
  text: string
  /** The same for all Bundles about one patient. Says nothing about anybody. */
  key: string
  /** The Observations as this server shows them, one JSON text each. */
  observations: () => readonly string[]
}

export type SendOutcome =
  /** `receiverIds`: ids at the destination, one for each entry in order; absent where the answer does not say. */
  | { outcome: 'delivered', receiverIds?: readonly (string | undefined)[] }
  /** Nothing is wrong with the Bundle. */
  | { outcome: 'retry', reason: string, retryAfterMs?: number }
  /** This Bundle will never be taken. */
  | { outcome: 'refused', reason: string, status?: number }

export interface Destination {
  name: string
  /** Identifier system under which the receiver knows its patients; absent: the first identifier of the Patient. */
  patientSystem: string | undefined
  /** Bundle.type: for a server that stores the resources, or for whoever reads the Bundle by itself. */
  form: 'transaction' | 'message'
  /** Most entries in one Bundle; a message has its header, Patient and Device beside them. */
  entriesMax: number
  /** Never throws for what the other side did. All of the Bundle arrives or nothing. */
  send (bundle: OutgoingBundle, signal: AbortSignal): Promise<SendOutcome>
  /** Whether the Observation of this query is there as issued at `issued` or later; `undefined`: cannot be told now. Absent where nobody can be asked: what
   *  arrived is then remembered here, at once. */
  holds? (identifierQuery: string, issued: EpochMs, signal: AbortSignal): Promise<boolean | undefined>
  /** Absent where nothing is kept open. */
  close? (): Promise<void>
}

export const BUNDLE_ENTRIES_MAX = 100
