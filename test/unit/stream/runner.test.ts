import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { ServiceError } from '../../../src/model/errors.ts'
import type { ModelKey, Sid } from '../../../src/model/reading.ts'
import { encodeReadingBatch } from '../../../src/model/reading-record.ts'
import { epochMs } from '../../../src/model/units.ts'
import { type PartitionBatch, reassigned } from '../../../src/platform/bus/bus.ts'
import { createWriteClock } from '../../../src/platform/write-clock.ts'
import { type Runner, startRunner } from '../../../src/stream/runner.ts'
import { modelOf, SPO2, START, storedReading } from '../../support/stored-reading.ts'

const MODEL = 'Example Sensors Inc./TO2-READER-2' as ModelKey
const SID = 's1000000000000000000000000000' as Sid

/** A runner of one open series that is paced for ever, on a bus on which these come, one in each take, and then nothing. Each time the group shares
 *  the partitions anew the other one of the two is the runner's. */
function runnerOn (batches: (PartitionBatch | 'reassigned')[], commit: () => Promise<void> = async () => {}, retryMs = 60_000, tickMs = 60_000) {
  const seen = { asked: 0, consumers: 0, shared: 0, commits: 0, opened: [] as (readonly number[])[], writers: [] as number[], failures: [] as unknown[], ends: 0 }
  const set = { aside: [] as string[], foreign: 0, ends: [0, 0], now: START + 1_000 }
  const committed = new EventEmitter()
  const waiting = new Set<{ count: number, resolve: () => void }>()
  const until = (count: number) => seen.asked >= count ? Promise.resolve() : new Promise<void>(resolve => { waiting.add({ count, resolve }) })
  const writes = createWriteClock(() => epochMs(START + 1_000))
  const refuse = async (): Promise<never> => { throw new Error('not asked for') }
  const runner: Runner = startRunner({
    runner: 0,
    partitions: [0, 1],
    bus: {
      kind: 'embedded', publish: refuse, partitionCount: () => 1, backlog: () => 0, ends: async () => {
        seen.ends++
        return set.ends
      }, close: async () => {},
      consume: async () => {
        seen.consumers++
        return {
          get partitions () { return [seen.shared % 2] },
          take: (_max, signal) => new Promise((resolve, reject) => {
            const batch = batches.shift()
            if (batch === 'reassigned') {
              seen.shared++
              reject(reassigned())
            } else if (batch !== undefined) resolve([batch])
            if (signal?.aborted === true) resolve([])
            signal?.addEventListener('abort', () => { resolve([]) })
          }),
          release: () => {},
          close: async () => { seen.consumers-- }
        }
      }
    },
    sink: {
      series: async names => new Map(names.map(({ sid }) => [sid, 1])), own: async () => 'token', resumePoints: async () => new Map(), states: async () => new Map(),
      openSeries: async partitions => {
        seen.opened.push(partitions)
        return [{ series: 1, sid: SID, model: MODEL }]
      },
      existing: async () => [], readings: async () => [], readingsBefore: async () => [],
      dueAmendments: async () => [], latestOfWindows: async () => [], sidsOf: async () => new Map(),
      commit: async ({ writer }) => {
        seen.commits++
        seen.writers.push(writer)
        set.aside.push('commit')
        committed.emit('commit')
        await commit()
      }
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
    now: () => epochMs(set.now),
    writes,
    setAside: async records => { set.aside.push(...records.map(({ partition, offset, value }) => `${partition}/${offset} ${Buffer.from(value).toString()}`)) },
    readingsMax: 10,
    tickMs,
    paceMs: 60_000,
    retryMs,
    retryMaxMs: 60_000,
    report: { stored: () => {}, suppressed: () => {}, windowsClosed: () => {}, windowsAmended: () => {}, withoutModel: () => {}, foreign: count => { set.foreign += count }, failed: (_writer, error) => { seen.failures.push(error) }, recovered: () => {} }
  })
  return { runner, seen, set, until, committed, writes }
}

test('when changes may have been missed everything in memory is read again, at once and without a failure', async () => {
  const { runner, seen, until } = runnerOn([])
  await until(1)
  runner.contextChanged('all')
  await until(2)
  runner.contextChanged('all')
  await until(3)
  await runner.stop()
  expect(seen).toEqual({ asked: 3, consumers: 0, shared: 0, commits: 0, opened: [[0], [0], [0]], writers: [], failures: [], ends: 0 })
})

/** Records of one reading each, `from` being the offset of the first and the second in which its reading was taken. */
function batchOf (from: number, count: number): PartitionBatch {
  const records = Array.from({ length: count }, (_, index) => {
    const readings = [storedReading(START + (from + index) * 1_000, [97])]
    return { offset: from + index, key: SID, value: encodeReadingBatch({ sid: SID, model: MODEL, schemaId: 1, receivedAt: epochMs(START), readings }) }
  })
  return { partition: 0, firstOffset: from, nextOffset: from + count, records }
}

test('records that are none of ours are set aside before the commit that goes past them, and what stands around them is stored', async () => {
  const around = batchOf(0, 3)
  const records = around.records.map(record => record.offset === 1 ? { ...record, value: Buffer.from('{"not":"ours"}') } : record)
  const { runner, seen, set, committed } = runnerOn([{ ...around, records }])
  await once(committed, 'commit')
  await expect.poll(() => set.foreign).toBe(1)
  await runner.stop()
  expect(set.aside).toEqual(['0/1 {"not":"ours"}', 'commit'])
  expect(seen.failures).toEqual([])
})

test('when the group shares the partitions anew, what is known is read again for those there are now, by the same consumer', async () => {
  const { runner, seen, committed } = runnerOn([batchOf(0, 1), 'reassigned', batchOf(0, 1), 'reassigned'])
  for (let commit = 0; commit < 2; commit++) await once(committed, 'commit')
  await expect.poll(() => seen.opened).toEqual([[0], [1], [0]])
  expect([seen.consumers, seen.writers, seen.failures]).toEqual([1, [0, 1], []])
  await runner.stop()
  expect(seen.consumers).toBe(0)
})

test('after a commit of one record the next follows at once, after one of several in its time', async () => {
  const batches = [batchOf(0, 1), batchOf(1, 1), batchOf(2, 2), batchOf(4, 1)]
  const { runner, seen, committed } = runnerOn(batches)
  for (let commit = 0; commit < 3; commit++) await once(committed, 'commit')
  await new Promise(resolve => { setImmediate(resolve) })
  expect(batches).toHaveLength(1)
  await runner.stop()
  expect([batches.length, seen.commits, seen.failures]).toEqual([1, 3, []])
})

test('a commit is under way until it has ended, also when it fails', async () => {
  const end = Promise.withResolvers<void>()
  const { runner, seen, committed, writes } = runnerOn([batchOf(0, 1)], () => end.promise)
  await once(committed, 'commit')
  expect(await writes.completeThrough(0)).toBe(START + 999)
  end.reject(new Error('no'))
  expect(await writes.completeThrough(60_000)).toBe(START + 1_000)
  await runner.stop()
  expect(seen.failures).toHaveLength(1)
})

test('a commit that is refused once, since another one has the partitions, is no alarm; refused again it is', async () => {
  const refusals = [true, false, true, true]
  const { runner, seen } = runnerOn([batchOf(0, 1), batchOf(0, 1), batchOf(1, 1), batchOf(1, 1), batchOf(1, 1)], async () => {
    if (refusals.shift() === true) throw new ServiceError('conflict', 'STORE_CONFLICT', 'another process reads these partitions now')
  }, 1)
  await expect.poll(() => seen.commits).toBe(5)
  await runner.stop()
  expect(seen.failures).toMatchObject([{ code: 'STORE_CONFLICT' }])
})

test('records that wait and do not come are told, and asked for anew; those that come are no matter', async () => {
  const { runner, seen, set, until } = runnerOn([batchOf(0, 1)], undefined, 1, 1)
  await expect.poll(() => seen.commits).toBe(1)
  // Nothing is there, minute after minute.
  const minute = async () => {
    const asked = seen.ends
    set.now += 61_000
    await expect.poll(() => seen.ends).toBeGreaterThan(asked)
  }
  for (let minutes = 0; minutes < 3; minutes++) await minute()
  set.ends = [5, 0]
  await minute()
  expect(seen.failures).toEqual([])
  await minute()
  await expect.poll(() => seen.failures).toMatchObject([{ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('do not come') }])
  await until(2)
  await runner.stop()
})
