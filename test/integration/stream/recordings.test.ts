/** Real recordings through windows: needs the folder `../shared/recordings` beside the repository; skipped where it is missing. */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { loadDeviceModels } from '../../../src/config/device-models.ts'
import { readRecording } from '../../../src/ingest/recordings/read-recording.ts'
import type { RecordedSensor } from '../../../src/ingest/recordings/recording.ts'
import type { DeviceModel } from '../../../src/model/device-model.ts'
import { epochMs } from '../../../src/model/units.ts'
import { closeWindow, type WindowDraft } from '../../../src/stream/close-window.ts'
import { decodeSamples } from '../../../src/stream/sample-grid.ts'
import { windowStartOf } from '../../../src/stream/window.ts'
import { START, storedReading } from '../../support/stored-reading.ts'

const FOLDER = fileURLToPath(new URL('../../../../shared/recordings/', import.meta.url))
const MODELS = fileURLToPath(new URL('../../../mappings/models', import.meta.url))

function draftsOf ({ samples }: RecordedSensor, model: DeviceModel): WindowDraft[] {
  const readings = samples.map(({ offsetMs, sequence, values }, offset) => storedReading(
    START + offsetMs, model.channels.map(({ metric }) => values.find((value) => value.metric === metric)?.value), { sequence, offset }
  ))
  const starts = new Set(readings.map(({ takenAt }) => windowStartOf(takenAt, 60_000)))
  return [...starts].flatMap((windowStart) => closeWindow({
    model, context: { validFrom: epochMs(0), calibrations: [] }, sizeMs: 60_000, windowStart, readings, channels: [...model.channels.keys()], deficits: {}, withPanel: false
  }))
}

function valuesOf ({ form }: WindowDraft): number[] {
  if (form.form === 'singles') return form.samples.map(({ value }) => value)
  return form.form === 'sampled' ? decodeSamples(form).flatMap(({ value }) => (value === undefined ? [] : [value])) : []
}

test.skipIf(!existsSync(FOLDER)).each([
  // Train.Red runs at 99.07 and 99.11 ms; a window that holds one of its pauses or its end may come out a little longer.
  ['moxy_intervals.csv', 2000, 2000], ['vo2master.csv', 1000, 1000], ['train.red_intervals.csv', 99.07, 99.3]
])('%s decodes back to its printed values on the periods of its sensors', async (file, shortest, longest) => {
  const models = await loadDeviceModels(MODELS)
  const recording = readRecording(readFileSync(FOLDER + file, 'utf8'))
  expect(recording.sensors.length).toBeGreaterThan(0)
  for (const sensor of recording.sensors) {
    const model = models.get(sensor.model)!
    const drafts = draftsOf(sensor, model)
    for (const { metric, zeroMeans } of model.channels) {
      const printed = sensor.samples.flatMap(({ values }) => values.filter((one) => one.metric === metric && !(one.value === 0 && zeroMeans === 'no-reading')).map(({ value }) => value))
      expect(drafts.filter((draft) => draft.metric === metric).flatMap(valuesOf)).toEqual(printed)
    }
    const sampled = drafts.flatMap(({ form }) => (form.form === 'sampled' ? [form.periodMs] : []))
    expect(sampled).toHaveLength(drafts.length)
    expect(Math.min(...sampled)).toBeGreaterThanOrEqual(shortest)
    expect(Math.max(...sampled)).toBeLessThanOrEqual(longest)
  }
})
