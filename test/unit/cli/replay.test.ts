import { expect, test } from 'vitest'
import { startBefore } from '../../../src/cli/replay.ts'
import type { Recording } from '../../../src/ingest/recordings/recording.ts'
import { epochMs } from '../../../src/model/units.ts'

const MINUTE = 60_000
const sensor = (...offsets: number[]) => ({ name: 's', model: 'm', units: {}, samples: offsets.map(offsetMs => ({ offsetMs, sequence: 0, values: [] })) })
const recording = { sensors: [sensor(0, 10 * MINUTE), sensor(0, 20 * MINUTE)] } as unknown as Recording

test.each([
  ['at its own speed it begins now', 1, 0], ['slower too', 0.5, 0], ['twice as fast, half of it lies behind', 2, 10], ['as fast as it goes, all of it does', Number.POSITIVE_INFINITY, 20]
])('moved to now, %s', (_, speed, minutesBefore) => {
  expect(startBefore(epochMs(60 * MINUTE), recording, speed)).toBe((60 - minutesBefore) * MINUTE)
})

test('no sample lies ahead of the moment it is sent', () => {
  for (const speed of [1, 1.5, 3, 10, 1_000]) {
    const start = startBefore(epochMs(60 * MINUTE), recording, speed)
    for (const offset of [0, MINUTE, 10 * MINUTE, 20 * MINUTE]) expect(start + offset).toBeLessThanOrEqual(60 * MINUTE + offset / speed + 1)
  }
})
