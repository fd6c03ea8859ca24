/** A day of a simulated sensor as it is sent, packed, and as Parquet → bytes and time per reading. Run alone: `npx node test/bench/limits/parquet-bytes.bench.ts [rounds]`. */

import { loadavg } from 'node:os'
import { promisify } from 'node:util'
import { zstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { patientOf, sampleOf } from '../../../src/cli/demonstration/simulated-sensor.ts'
import { loadDeviceModels } from '../../../src/config/device-models.ts'
import { MODELS_FOLDER, VERSION } from '../../../src/config/product.ts'
import type { Sid, StoredReading } from '../../../src/model/reading.ts'
import { epochMs, millivolt, percent } from '../../../src/model/units.ts'
import { createDayEncoder, PAGE_ROWS } from '../../../src/stores/archive/parquet/encode-day.ts'

const ROUNDS = Number(process.argv[2] ?? 5)
const DAY = Date.UTC(2026, 1, 11) / 86_400_000
const START = DAY * 86_400_000
/** Readings of one sensor in one request, so in one frame of the archive of original bytes. */
const PER_FRAME = 100
const model = (await loadDeviceModels(MODELS_FOLDER)).get('Oxbow/SIMULATOR-1')!
const zstd = promisify(zstdCompress)

function dayOf (rateHz: number): { readings: StoredReading[], sent: Buffer[] } {
  const readings: StoredReading[] = []
  const sent: Buffer[] = []
  for (let at = 0; at < 86_400_000; at += 1_000 / rateHz) {
    const sample = sampleOf(patientOf(7), at)
    if (sample === undefined) continue
    const takenAt = epochMs(START + at)
    readings.push({
      takenAt, sequence: 0, values: [sample.tissuePo2, sample.spo2], battery: millivolt(sample.batteryMv), quality: percent(sample.signalQuality),
      firmware: 1, flags: 0, schemaId: 1, partition: 3, offset: Math.floor(readings.length / PER_FRAME) * 40
    })
    sent.push(Buffer.from(JSON.stringify({
      deviceId: 'simulator-7', patientId: null, timestamp_utc: takenAt, spo2: sample.spo2 ?? null, local_tissue_o2: sample.tissuePo2, battery_mv: sample.batteryMv, firmware_version: '1.0.0', signal_quality: sample.signalQuality
    })))
  }
  return { readings, sent }
}

function encode (readings: readonly StoredReading[]): { file: Uint8Array, longestMs: number, ms: number } {
  const begun = performance.now()
  const encoder = createDayEncoder({ sid: 's1000000000000000000000000000' as Sid, model, calibrations: [], day: DAY, version: 1, change: 1, pipelineVersion: VERSION })
  let longestMs = 0
  for (let first = 0; first < readings.length; first += PAGE_ROWS) {
    const at = performance.now()
    encoder.add(readings.slice(first, first + PAGE_ROWS))
    longestMs = Math.max(longestMs, performance.now() - at)
  }
  return { file: encoder.finish(), longestMs, ms: performance.now() - begun }
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!
const say = (line: string) => { process.stdout.write(`${line}\n`) }

say(`load ${loadavg()[0]!.toFixed(1)}, ${ROUNDS} rounds, medians`)
for (const rateHz of [1, 10]) {
  const { readings, sent } = dayOf(rateHz)
  const runs = Array.from({ length: ROUNDS }, () => encode(readings))
  const frames: number[] = []
  for (let first = 0; first < sent.length; first += PER_FRAME) frames.push((await zstd(Buffer.concat(sent.slice(first, first + PER_FRAME)))).length)
  const whole = Buffer.concat(sent)
  if (!zstdDecompressSync(zstdCompressSync(whole)).equals(whole)) throw new Error('zstd lost something')
  const per = (bytes: number) => (bytes / readings.length).toFixed(2)
  say(`${rateHz} Hz, ${readings.length} readings: JSON ${per(whole.length)} B, JSON in frames of ${PER_FRAME} with zstd ${per(frames.reduce((sum, bytes) => sum + bytes, 0))} B, ` +
    `whole with zstd ${per(zstdCompressSync(whole).length)} B, Parquet ${per(runs[0]!.file.length)} B; ` +
    `${(median(runs.map(({ ms }) => ms)) * 1_000 / readings.length).toFixed(1)} µs, longest row group ${median(runs.map(({ longestMs }) => longestMs)).toFixed(0)} ms`)
}
