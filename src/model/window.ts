/** The ledger of closed windows: what the stream writes, the series store keeps, and the FHIR views are built from. */

import type { PointProvenance } from './provenance.ts'
import type { Sid } from './reading.ts'
import type { EpochMs } from './units.ts'

export type WindowStatus = 'final' | 'amended' | 'corrected' | 'entered-in-error'

/** Derived from usable samples (fhir-modelling.md §5); all in the metric's unit. A missing number: it could not be published. */
export interface WindowStatistics {
  /** Usable samples in [start, end). */
  sampleCount: number
  /** Nominal count of the (clipped) window. */
  expectedCount: number
  /** sampleCount / expectedCount, at most 1. */
  coverage: number
  minimum?: number
  maximum?: number
  /** Arithmetic mean; absent below 80 % coverage. */
  mean?: number
  /** Least-squares slope per minute; absent below 80 % coverage or 5 samples. */
  ratePerMinute?: number
  /** Standard deviation of the residuals (n − 2). */
  residualSd?: number
}

/** Tissue oxygen deficit (fhir-modelling.md §5.1, algorithm `tod-1`); coverage, index and timeFraction in 0..1, dose in unit × minutes.
 *  Below 80 % coverage only threshold, gap and coverage are there. */
export interface Deficit {
  threshold: number
  maxGapMs: number
  coverage: number
  meanDepth?: number
  dose?: number
  index?: number
  timeFraction?: number
  nadir?: number
}

/** A window that fits a grid (§2.3): tokens of SampledData, one space apart. */
export interface SampledForm {
  form: 'sampled'
  /** Time of the first token, whole ms. */
  gridStart: EpochMs
  /** ms, at most two decimals. */
  periodMs: number
  tokenCount: number
  /** `E` for an empty slot. */
  data: string
}

/** A window that fits no grid: one numeric Observation per reading, ascending in (takenAt, sequence). */
export interface SinglesForm {
  form: 'singles'
  samples: readonly { takenAt: EpochMs, sequence: number, value: number }[]
}

/** Last accepted sample of the window for each component; used by `panel`, `spo2`, `battery-voltage`. */
export interface LastForm {
  form: 'last'
  takenAt: EpochMs
  /** By metric, in channel order; `signal-quality-index` last. */
  values: readonly { metric: string, value: number }[]
}

/** No sample could be shown (all absent or withdrawn). */
export interface EmptyForm { form: 'empty' }

export type WindowForm = SampledForm | SinglesForm | LastForm | EmptyForm

/** One revision of one window of one metric: one row of the ledger. `revision` and `status` are given by the ledger's history.
 *  metric = a channel's metric name, `spo2-samples` for the samples of an spo2 channel, `signal-quality-index`, or one of `panel`, `spo2`, `battery-voltage`. */
export interface WindowRevision {
  sid: Sid
  metric: string
  /** Grid start: a multiple of `sizeMs` since the epoch, also when the window is clipped. */
  windowStart: EpochMs
  sizeMs: number
  /** Period after clipping by the association, half-open. */
  from: EpochMs
  until: EpochMs
  revision: number
  status: WindowStatus
  /** Commit time of this revision. */
  issued: EpochMs
  /** Watermark when it was written. */
  watermark: EpochMs
  form: WindowForm
  statistics?: WindowStatistics
  deficit?: Deficit
  /** Union of the flags of its samples (`FLAG`). */
  flags: number
  /** Mean signal quality in percent over the samples; absent when none came with one. */
  quality?: number
  /** One per distinct (calibration, firmware, schema) among its samples, in order of first use; at least one. */
  provenance: readonly PointProvenance[]
}

/** The name under which one Observation of a ledger row is found. */
export type ViewKind = 'sampled' | 'single' | 'panel' | 'numeric' | 'mean' | 'rate' | 'deficit'

/** Why a window is written again (§2.2). `withdrawn`: the association was wrong. */
export type AmendmentCause = 'late' | 'recalibrated' | 'reprocessed' | 'association' | 'withdrawn'
