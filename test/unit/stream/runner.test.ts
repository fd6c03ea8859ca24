import { expect, test } from 'vitest'
import type { ModelKey, Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { type Runner, startRunner } from '../../../src/stream/runner.ts'
import { modelOf, SPO2, START } from '../../support/stored-reading.ts'

const MODEL = 'Example Sensors Inc./TO2-READER-2' as ModelKey
const SID = 's1000000000000000000000000000' as Sid

/** A runner of one open series, on a bus on which nothing comes. */
function quietRunner () {
  const seen = { asked: 0, consumers: 0, failures: [] as unknown[] }
  const waiting = new Set<{ count: number, resolve: () => void }>()
  const until = (count: number) => seen.asked >= count ? Promise.resolve() : new Promise<void>(resolve => { waiting.add({ count, resolve }) })
  const refuse = async (): Promise<never> => { throw new Error('not asked for') }
  const runner: Runner = startRunner({
    writer: 0,
    partitions: [0],
    bus: {
      kind: 'embedded', publish: refuse, partitionCount: () => 1, backlog: () => 0, ends: () => [0], close: async () => {},
      consume: async () => {
        seen.consumers++
        return {
          take: (_max, signal) => new Promise(resolve => {
            if (signal?.aborted === true) resolve([])
            signal?.addEventListener('abort', () => { resolve([]) })
          }),
          release: () => {},
          close: async () => { seen.consumers-- }
        }
      }
    },
    sink: {
      series: async names => new Map(names.map(({ sid }) => [sid, 1])), resumePoints: async () => new Map(), states: async () => new Map(),
      openSeries: async () => [{ series: 1, sid: SID, model: MODEL }], existing: async () => [], readings: async () => [], readingsBefore: async () => [],
      dueAmendments: async () => [], latestOfWindows: async () => [], sidsOf: async () => new Map(), commit: refuse
    },
    contexts: async sids => {
      seen.asked++
      for (const one of waiting) if (seen.asked >= one.count) one.resolve()
      return new Map(sids.map(sid => [sid, { sid, model: MODEL, validFrom: epochMs(START), calibrations: [] }]))
    },
    models: new Map([[MODEL, modelOf(SPO2)]]),
    settings: {
      windowMs: 60_000, windowSizes: {}, deficits: {}, pipelineVersion: '0', dagDigest: 'd', mappingVersion: metric => `${metric}@1`, latenessMs: 30_000, silenceMs: 60_000, amendmentsMax: 10
    },
    now: () => epochMs(START + 1_000),
    recordsMax: 10,
    tickMs: 60_000,
    retryMs: 60_000,
    retryMaxMs: 60_000,
    report: { stored: () => {}, suppressed: () => {}, windowsClosed: () => {}, windowsAmended: () => {}, failed: (_writer, error) => { seen.failures.push(error) }, recovered: () => {} }
  })
  return { runner, seen, until }
}

test('when changes may have been missed everything in memory is read again, at once and without a failure', async () => {
  const { runner, seen, until } = quietRunner()
  await until(1)
  runner.contextChanged('all')
  await until(2)
  runner.contextChanged('all')
  await until(3)
  await runner.stop()
  expect(seen).toEqual({ asked: 3, consumers: 0, failures: [] })
})
