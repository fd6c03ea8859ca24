/** Readings behind a point -> what made it: one entry per distinct calibration, firmware and schema, with the source positions. */

import type { PointProvenance, SourceRange } from '../model/provenance.ts'
import type { StoredReading } from '../model/reading.ts'
import { READINGS } from '../model/streams.ts'

/** Provenance but for the three versions that are the same for all of one run; the runner adds them. */
export type PointSources = Omit<PointProvenance, 'pipelineVersion' | 'dagDigest' | 'mappingVersion'>

/** Entries in order of first use, sources ascending by partition.
 *  @param indexes of the readings used, ascending; @param calibrations number applied to each reading, beside `readings`; absent: none applied. */
export function pointSources (readings: readonly StoredReading[], indexes: readonly number[], calibrations?: Int32Array): PointSources[] {
  const entries: (PointSources & { sources: SourceRange[] })[] = []
  let entry: (PointSources & { sources: SourceRange[] }) | undefined
  for (const index of indexes) {
    const reading = readings[index]!
    const calibration = calibrations === undefined ? 0 : calibrations[index]!
    if (entry === undefined || entry.calibration !== calibration || entry.firmware !== reading.firmware || entry.schemaId !== reading.schemaId) {
      entry = entries.find((one) => one.calibration === calibration && one.firmware === reading.firmware && one.schemaId === reading.schemaId)
      if (entry === undefined) {
        entry = { calibration, firmware: reading.firmware, schemaId: reading.schemaId, sources: [] }
        entries.push(entry)
      }
    }
    widen(entry.sources, reading)
  }
  for (const { sources } of entries) if (sources.length > 1) sources.sort((a, b) => a.partition - b.partition)
  return entries
}

function widen (sources: SourceRange[], { partition, offset }: StoredReading): void {
  for (const source of sources) {
    if (source.partition !== partition) continue
    if (offset < source.firstOffset) source.firstOffset = offset
    if (offset > source.lastOffset) source.lastOffset = offset
    return
  }
  sources.push({ topic: READINGS, partition, firstOffset: offset, lastOffset: offset })
}
