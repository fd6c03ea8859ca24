/** The demonstration ward's patients → their latest curves and counts, for the front page. Invented patients only. */

import type { Pool } from 'pg'
import type { Channel, DeviceModels, QuantityKind } from '../../model/device-model.ts'
import type { Sid } from '../../model/reading.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { type DemonstrationBed, demonstrationBeds } from '../../stores/linkage/demonstration.ts'
import type { SeriesStore } from '../../stores/series/series-store.ts'
import type { RowIn } from '../../stream/sink.ts'

export interface WardCurve {
  title: string
  metric: string
  unit: string
  digits: number
  points: readonly { at: EpochMs, value: number | undefined }[]
}

export interface WardDevice { title: string, stored: number, suppressed: number, quarantined: number }

export interface WardParts {
  linkagePool: Pool
  series: Pick<SeriesStore, 'numbersOf' | 'readings' | 'countsBySid'>
  models: DeviceModels
  /** Records of a device that are or were in quarantine and were not released. @param telemetry its name in telemetry */
  quarantinedOf (telemetry: string): Promise<number>
  now (): EpochMs
  /** How far back the curves go. Default 15 min. */
  spanMs?: number
}

export interface DemonstrationWard {
  /** As measured, before calibration: of each patient the first channel and SpO2, ascending by name. */
  curves (): Promise<readonly WardCurve[]>
  devices (): Promise<readonly WardDevice[]>
}

const SPAN_MS = 15 * 60_000
/** Clocks of devices may run ahead. */
const AHEAD_MS = 60_000
const ROWS_MAX = 5_000

export function createDemonstrationWard (parts: WardParts): DemonstrationWard {
  const { linkagePool, series, models, now, spanMs = SPAN_MS } = parts
  return {
    async curves () {
      const time = now()
      const beds = await demonstrationBeds(linkagePool, time)
      const numbers = await series.numbersOf(beds.map(({ sid }) => sid))
      const curves = await Promise.all(beds.map(async bed => {
        const number = numbers.get(bed.sid)
        const rows = number === undefined ? [] : await series.readings(number, epochMs(time - spanMs), epochMs(time + AHEAD_MS), ROWS_MAX)
        return curvesOf(bed, models, rows)
      }))
      return curves.flat()
    },
    async devices () {
      const beds = await demonstrationBeds(linkagePool, now())
      const counts = await series.countsBySid()
      return Promise.all(beds.map(bed => deviceOf(bed, counts, parts)))
    }
  }
}

async function deviceOf ({ name, sid, model, telemetry }: DemonstrationBed, counts: ReadonlyMap<Sid, { stored: number, duplicate: number, conflict: number }>, parts: WardParts): Promise<WardDevice> {
  const { stored = 0, duplicate = 0, conflict = 0 } = counts.get(sid) ?? {}
  return { title: `${name} · ${parts.models.get(model)?.display ?? 'unknown model'}`, stored, suppressed: duplicate + conflict, quarantined: await parts.quarantinedOf(telemetry) }
}

function curvesOf ({ name, model }: DemonstrationBed, models: DeviceModels, rows: readonly RowIn[]): WardCurve[] {
  const channels = models.get(model)?.channels ?? []
  return channels.flatMap((channel, position) => position > 0 && channel.kind !== 'spo2'
    ? []
    : [{
        title: name,
        metric: KIND_NAMES[channel.kind],
        unit: UNIT_NAMES[channel.unit] ?? channel.unit,
        digits: digitsOf(channel),
        points: rows.map(({ takenAt, values }) => ({ at: takenAt, value: values[position] }))
      }])
}

const KIND_NAMES: Readonly<Record<QuantityKind, string>> = {
  'tissue-po2': 'Tissue pO₂',
  'tissue-o2-concentration': 'Tissue O₂ concentration',
  'tissue-o2-relative-index': 'Tissue O₂ index',
  'tissue-sto2': 'Tissue StO₂',
  'total-haemoglobin': 'Total haemoglobin',
  'o2hb-relative': 'O₂Hb, relative',
  'hhb-relative': 'HHb, relative',
  spo2: 'SpO₂'
}
const UNIT_NAMES: Readonly<Record<string, string>> = { 'mm[Hg]': 'mmHg', 'umol/L': 'µmol/L', 1: '' }

function digitsOf ({ resolution }: Channel): number { return Math.max(0, Math.ceil(-Math.log10(resolution))) }
