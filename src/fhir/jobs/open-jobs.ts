/** A pool of the linkage database → how many recorded jobs are not done yet, for doctor and pages. */

import type { Pool } from 'pg'
import { openRecalibrations } from '../../stores/linkage/calibration.ts'
import { countOpenRelabelJobs } from '../../stores/linkage/relabel-job.ts'

export interface OpenJobs { relabel: number, recalibration: number }

const COUNTED_MAX = 1_000

/** @returns at most 1,000 of `recalibration` */
export async function countOpenJobs (pool: Pool): Promise<OpenJobs> {
  const [relabel, recalibrations] = await Promise.all([countOpenRelabelJobs(pool), openRecalibrations(pool, COUNTED_MAX)])
  return { relabel, recalibration: recalibrations.length }
}
