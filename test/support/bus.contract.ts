/** What every implementation of the seam `Bus` is held to. `describeBus` registers the tests for one of them. */

import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Bus, BusConsumer, BusRecord, ConsumerOptions, Position, TopicOptions } from '../../src/platform/bus/bus.ts'

export interface BusSettings {
  topics: readonly TopicOptions[]
  backlogMax?: number
  recordBytesMax?: number
  /** Time by which retention judges; real time when absent. Retention runs at least every 100 ms in a test. */
  now?: () => number
}

/** Where a bus keeps its records; may be opened several times, at once (as by several processes) or one after the other. */
export interface BusStore {
  open (settings: BusSettings): Promise<Bus>
  /** Closes what is still open and removes everything. */
  drop (): Promise<void>
}

type Taken = { partition: number, offset: number, key: string, value: string }

const A = 'test.a.v1'
const B = 'test.b.v1'
const DAY_MS = 86_400_000
const topics = (...names: string[]): TopicOptions[] => names.map(topic => ({ topic, partitions: 4 }))
const record = (topic: string, key: string, value: string | Uint8Array): BusRecord => ({ topic, key, value: Buffer.from(value) })
const fromStart: ConsumerOptions['resumeFrom'] = async partitions => new Map(partitions.map(partition => [partition, 0]))
const allOf = (bus: Bus, topic: string) => Array.from({ length: bus.partitionCount(topic) }, (_, partition) => partition)

export function describeBus (name: string, createStore: () => Promise<BusStore>): void {
  describe(name, () => {
    let store: BusStore
    beforeEach(async () => { store = await createStore() })
    afterEach(async () => { await store.drop() })
    const open = (settings: Partial<BusSettings> = {}) => store.open({ topics: topics(A, B), ...settings })

    describePublishing(open)
    describeConsuming(open)
    describeSeveralProcesses(open)
    describeLimits(open)
    describeRetention(open)
    describeClosing(open)
  })
}

type Open = (settings?: Partial<BusSettings>) => Promise<Bus>

function describePublishing (open: Open): void {
  test('positions come in the order of the records and count from 0 in each partition', async () => {
    const bus = await open()
    const records = Array.from({ length: 40 }, (_, index) => record(index % 2 === 0 ? A : B, `key ${index % 7}`, `${index}`))
    const positions = await bus.publish(records)
    expect(positions.map(({ topic }) => topic)).toEqual(records.map(({ topic }) => topic))
    for (const offsets of byPartition(positions).values()) expect(offsets).toEqual(offsets.map((_, index) => index))
  })

  test('offsets go on where the last publish ended', async () => {
    const bus = await open()
    const [first] = await bus.publish([record(A, 'k', '1')])
    const [second, third] = await bus.publish([record(A, 'k', '2'), record(A, 'k', '3')])
    expect([second, third].map(position => position?.offset)).toEqual([first!.offset + 1, first!.offset + 2])
    expect(second?.partition).toBe(first?.partition)
  })

  test('nothing published has no position', async () => {
    expect(await (await open()).publish([])).toEqual([])
  })

  test('every value comes back byte for byte, whatever its key, also after the bus was opened again', async () => {
    let bus = await open()
    const sent: { key: string, value: string }[] = []
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 300 })), { maxLength: 20 }), async pairs => {
      await bus.publish(pairs.map(([key, value]) => record(A, key, value)))
      sent.push(...pairs.map(([key, value]) => ({ key, value: Buffer.from(value).toString('latin1') })))
    }), { numRuns: 30 })
    await bus.close()
    bus = await open()
    const taken = await takeAll(bus, A, sent.length)
    const sorted = (records: readonly { key: string, value: string }[]) => records.map(({ key, value }) => `${key}\0${value}`).sort()
    expect(sorted(taken)).toEqual(sorted(sent))
  })

  test('records of one key keep their order under many concurrent publishers of other keys', async () => {
    const bus = await open()
    await Promise.all(Array.from({ length: 20 }, async (_, key) => {
      for (let step = 0; step < 10; step++) await bus.publish([record(A, `key ${key}`, `${step}`), record(B, `key ${key}`, `${step}`)])
    }))
    for (const topic of [A, B]) {
      const taken = await takeAll(bus, topic, 200)
      for (let key = 0; key < 20; key++) expect(valuesOf(taken, `key ${key}`)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    }
  })

  test('publishes of one caller that do not wait for each other keep their order', async () => {
    const bus = await open()
    await Promise.all(Array.from({ length: 50 }, (_, index) => bus.publish([record(A, 'k', `${index}`)])))
    expect(valuesOf(await takeAll(bus, A, 50), 'k')).toEqual(Array.from({ length: 50 }, (_, index) => `${index}`))
  })

  test('of a publish over several topics with a record that is refused, nothing is there', async () => {
    const bus = await open({ recordBytesMax: 1_000 })
    await expect(bus.publish([record(A, 'k', 'good'), record(B, 'k', Buffer.alloc(2_000))])).rejects.toMatchObject({ category: 'incorrect', code: 'BUS_RECORD_TOO_LARGE' })
    await expect(bus.publish([record(A, 'k', 'good'), record('unknown', 'k', 'x')])).rejects.toMatchObject({ code: 'INTERNAL' })
    await bus.publish([record(A, 'k', 'after')])
    expect((await takeAll(bus, A, 1)).map(({ value }) => value)).toEqual(['after'])
    expect(bus.backlog(B)).toBe(0)
  })

  test('the number of partitions of a topic stays what it was made with', async () => {
    await (await open()).close()
    const bus = await open({ topics: [{ topic: A, partitions: 9 }] })
    expect(bus.partitionCount(A)).toBe(4)
  })

  test('a topic that was not declared has no partitions', async () => {
    const bus = await open()
    expect(() => bus.partitionCount('unknown')).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  })
}

function describeConsuming (open: Open): void {
  test('a consumer begins at the offset it names, also inside what was published at once', async () => {
    const bus = await open()
    const positions = await bus.publish(Array.from({ length: 10 }, (_, index) => record(A, 'k', `${index}`)))
    const { partition } = positions[0]!
    const consumer = await bus.consume({ topic: A, partitions: [partition], resumeFrom: async () => new Map([[partition, 4]]) })
    const [batch] = await consumer.take(100)
    expect(batch).toMatchObject({ partition, firstOffset: 4, nextOffset: 10 })
    expect(batch?.records.map(({ offset, value }) => [offset, Buffer.from(value).toString()])).toEqual([4, 5, 6, 7, 8, 9].map(offset => [offset, `${offset}`]))
  })

  test('a consumer that names the end waits for the first new record', async () => {
    const bus = await open()
    await bus.publish([record(A, 'k', 'old')])
    const ends = new Map(allOf(bus, A).map(partition => [partition, 0]))
    for (const { partition, offset } of await bus.publish([record(A, 'k', 'old')])) ends.set(partition, offset + 1)
    const consumer = await bus.consume({ topic: A, partitions: allOf(bus, A), resumeFrom: async () => ends })
    const taken = consumer.take(10)
    await bus.publish([record(A, 'k', 'new')])
    expect(flat(await taken).map(({ value }) => value)).toEqual(['new'])
  })

  test('a partition that the resume offsets leave out begins at 0', async () => {
    const bus = await open()
    await bus.publish([record(A, 'k', 'first')])
    const consumer = await bus.consume({ topic: A, partitions: allOf(bus, A), resumeFrom: async () => new Map() })
    expect(flat(await consumer.take(10)).map(({ value }) => value)).toEqual(['first'])
  })

  test('a take gives at most the records asked for, and the next goes on behind them', async () => {
    const bus = await open()
    await bus.publish(Array.from({ length: 25 }, (_, index) => record(A, 'k', `${index}`)))
    const consumer = await consumeAll(bus, A)
    const sizes = []
    const values = []
    for (let turn = 0; turn < 3; turn++) {
      const taken = flat(await consumer.take(10))
      sizes.push(taken.length)
      values.push(...taken.map(({ value }) => value))
    }
    expect(sizes).toEqual([10, 10, 5])
    expect(values).toEqual(Array.from({ length: 25 }, (_, index) => `${index}`))
  })

  test('a take gives at most the bytes allowed, but one record always', async () => {
    const bus = await open()
    await bus.publish(Array.from({ length: 6 }, () => record(A, 'k', Buffer.alloc(1_000))))
    const consumer = await bus.consume({ topic: A, partitions: allOf(bus, A), resumeFrom: fromStart, bytesMax: 2_500 })
    expect(flat(await consumer.take(100))).toHaveLength(2)
    const narrow = await open()
    const single = await narrow.consume({ topic: A, partitions: allOf(narrow, A), resumeFrom: fromStart, bytesMax: 10 })
    expect(flat(await single.take(100))).toHaveLength(1)
  })

  test('a full partition does not starve the others', async () => {
    const bus = await open()
    const keys = keysOfDifferentPartitions(bus, await bus.publish(Array.from({ length: 40 }, (_, index) => record(B, `${index}`, ''))))
    await bus.publish(Array.from({ length: 100 }, () => record(A, keys[0]!, 'many')))
    await bus.publish([record(A, keys[1]!, 'few')])
    const consumer = await consumeAll(bus, A)
    const seen: string[] = []
    for (let turn = 0; turn < bus.partitionCount(A); turn++) seen.push(...flat(await consumer.take(10)).map(({ value }) => value))
    expect(seen).toContain('few')
  })

  test('consumers of different partitions share a topic', async () => {
    const bus = await open()
    await bus.publish(Array.from({ length: 100 }, (_, index) => record(A, `key ${index}`, `${index}`)))
    const left = await bus.consume({ topic: A, partitions: [0, 2], resumeFrom: fromStart })
    const right = await bus.consume({ topic: A, partitions: [1, 3], resumeFrom: fromStart })
    const both = [...await drain(left), ...await drain(right)]
    expect(both.map(({ value }) => Number(value)).sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index))
  })

  test('a take that waits is woken by the append', async () => {
    const bus = await open()
    const consumer = await consumeAll(bus, A)
    for (let round = 0; round < 20; round++) {
      const waiting = consumer.take(10)
      await bus.publish([record(A, `key ${round}`, `${round}`)])
      expect(flat(await waiting).map(({ value }) => value)).toEqual([`${round}`])
    }
  })

  test('a take that waits is not woken by another topic', async () => {
    const bus = await open()
    const consumer = await consumeAll(bus, A)
    const waiting = consumer.take(10)
    await bus.publish([record(B, 'k', 'other')])
    await bus.publish([record(A, 'k', 'own')])
    expect(flat(await waiting).map(({ value }) => value)).toEqual(['own'])
  })

  test('a signal ends a take that waits, with nothing, and the consumer goes on', async () => {
    const bus = await open()
    const consumer = await consumeAll(bus, A)
    const stop = new AbortController()
    const waiting = consumer.take(10, stop.signal)
    stop.abort()
    expect(await waiting).toEqual([])
    expect(await consumer.take(10, stop.signal)).toEqual([])
    await bus.publish([record(A, 'k', 'x')])
    expect(flat(await consumer.take(10))).toHaveLength(1)
  })

  test('closing ends a take that waits, with nothing', async () => {
    const consumer = await consumeAll(await open(), A)
    const waiting = consumer.take(10)
    await consumer.close()
    expect(await waiting).toEqual([])
    expect(await consumer.take(10)).toEqual([])
  })

  test('a consumer that is no longer wanted before it is there is closed', async () => {
    const bus = await open()
    await bus.publish([record(A, 'k', '1')])
    const consumer = await bus.consume({ topic: A, partitions: allOf(bus, A), resumeFrom: fromStart, signal: AbortSignal.abort() })
    expect(await consumer.take(10)).toEqual([])
    await consumer.close()
    expect(flat(await (await consumeAll(bus, A)).take(10))).toHaveLength(1)
  })

  test('a partition given up can be taken again, from any offset still there', async () => {
    const bus = await open()
    await bus.publish([record(A, 'k', '1'), record(A, 'k', '2')])
    const first = await consumeAll(bus, A)
    expect(flat(await first.take(10))).toHaveLength(2)
    await first.close()
    const second = await consumeAll(bus, A)
    expect(flat(await second.take(10)).map(({ value }) => value)).toEqual(['1', '2'])
  })
}

function describeSeveralProcesses (open: Open): void {
  test('a take that waits is woken by the append of another process', async () => {
    const [here, there] = [await open(), await open()]
    const consumer = await consumeAll(here, A)
    for (let round = 0; round < 10; round++) {
      const waiting = consumer.take(10)
      await there.publish([record(A, `key ${round}`, `${round}`)])
      expect(flat(await waiting).map(({ value }) => value)).toEqual([`${round}`])
    }
  })

  test('two processes that publish at once give every offset once, and each its own order', async () => {
    const buses = [await open(), await open()]
    const positions = (await Promise.all(buses.flatMap((bus, process) => Array.from({ length: 15 }, async (_, key) => {
      const found = []
      for (let step = 0; step < 5; step++) found.push(...await bus.publish([record(A, `${process}/${key}`, `${step}`), record(B, `${process}/${key}`, `${step}`)]))
      return found
    })))).flat()
    for (const offsets of byPartition(positions).values()) expect(offsets.sort((a, b) => a - b)).toEqual(offsets.map((_, index) => index))
    for (const bus of buses) {
      const taken = await takeAll(bus, A, 150)
      for (const { partition, offset } of positions.filter(({ topic }) => topic === A)) {
        expect(taken.some(found => found.partition === partition && found.offset === offset)).toBe(true)
      }
      for (let key = 0; key < 15; key++) expect(valuesOf(taken, `1/${key}`)).toEqual(['0', '1', '2', '3', '4'])
    }
  })

  test('a consumer keeps the order while two processes publish', async () => {
    const [here, there] = [await open(), await open()]
    const consumer = await consumeAll(here, A)
    const publishing = Promise.all([here, there].map(async (bus, process) => {
      for (let step = 0; step < 60; step++) await bus.publish([record(A, 'shared', `${process}/${step}`)])
    }))
    const taken: Taken[] = []
    while (taken.length < 120) taken.push(...flat(await consumer.take(7)))
    await publishing
    expect(taken.map(({ offset }) => offset)).toEqual(taken.map((_, index) => index))
    for (const process of [0, 1]) {
      const own = taken.filter(({ value }) => value.startsWith(`${process}/`)).map(({ value }) => value)
      expect(own).toEqual(Array.from({ length: 60 }, (_, step) => `${process}/${step}`))
    }
  })
}

function describeLimits (open: Open): void {
  const full = expect.objectContaining({ category: 'busy', code: 'BUS_FULL', retryAfterS: expect.any(Number) })

  test('a topic that is not consumed is full at its limit, and takes more when its consumer releases', async () => {
    const bus = await open({ backlogMax: 10 })
    await bus.publish(Array.from({ length: 10 }, () => record(A, 'k', 'x')))
    expect(bus.backlog(A)).toBe(10)
    await expect(bus.publish([record(A, 'k', 'x')])).rejects.toEqual(full)
    const consumer = await consumeAll(bus, A)
    for (const { partition, nextOffset } of await consumer.take(4)) consumer.release(partition, nextOffset)
    expect(bus.backlog(A)).toBe(6)
    await bus.publish(Array.from({ length: 4 }, () => record(A, 'k', 'x')))
    await expect(bus.publish([record(A, 'k', 'x')])).rejects.toEqual(full)
  })

  test('a publish is refused whole when one of its topics is full', async () => {
    const bus = await open({ backlogMax: 1 })
    await bus.publish([record(A, 'k', 'x')])
    await expect(bus.publish([record(B, 'k', 'x'), record(A, 'k', 'x')])).rejects.toEqual(full)
    expect(bus.backlog(B)).toBe(0)
  })

  test('publishes on their way count as backlog', async () => {
    const bus = await open({ backlogMax: 10 })
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => bus.publish([record(A, 'k', 'x')])))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
  })

  test('a topic may have a limit of its own', async () => {
    const bus = await open({ topics: [{ topic: A, partitions: 1, backlogMax: 50 }, { topic: B, partitions: 1 }], backlogMax: 5 })
    await bus.publish(Array.from({ length: 50 }, () => record(A, 'k', 'x')))
    await expect(bus.publish([record(A, 'k', 'x')])).rejects.toEqual(full)
    await expect(bus.publish(Array.from({ length: 6 }, () => record(B, 'k', 'x')))).rejects.toEqual(full)
    expect(bus.backlog(A)).toBe(50)
  })

  test('what another process releases makes room here', async () => {
    const [here, there] = [await open({ backlogMax: 3 }), await open({ backlogMax: 3 })]
    await here.publish(Array.from({ length: 3 }, () => record(A, 'k', 'x')))
    const consumer = await consumeAll(there, A)
    for (const { partition, nextOffset } of await consumer.take(10)) consumer.release(partition, nextOffset)
    await consumer.close()
    await expect.poll(() => here.publish([record(A, 'k', 'y')]).then(() => 'published', () => 'full'), { timeout: 10_000 }).toBe('published')
  })

  test('the backlog is known again after the bus was opened again', async () => {
    let bus = await open()
    await bus.publish(Array.from({ length: 5 }, () => record(A, 'k', 'x')))
    const consumer = await consumeAll(bus, A)
    for (const { partition, nextOffset } of await consumer.take(2)) consumer.release(partition, nextOffset)
    await bus.close()
    bus = await open()
    expect(bus.backlog(A)).toBe(3)
  })
}

function describeRetention (open: Open): void {
  test('only what is released and past its time is removed', async () => {
    let nowMs = Date.UTC(2026, 0, 1)
    const now = () => nowMs
    const declared = [{ topic: 'unreleased', partitions: 1, retainMs: 0 }, { topic: 'released', partitions: 1, retainMs: DAY_MS }]
    const bus = await open({ topics: declared, now })
    const both = ['unreleased', 'released']
    await bus.publish(both.map(topic => record(topic, 'k', 'old')))
    nowMs += 2 * DAY_MS
    await bus.publish(both.map(topic => record(topic, 'k', 'new')))
    // Each turn releases all of it; a turn that finds the beginning gone ends the waiting.
    await expect.poll(() => releaseFrom(bus, 'released', 0), { timeout: 30_000, interval: 300 }).toBe('BUS_OFFSET_GONE')
    expect((await takeFrom(bus, 'released', 1)).map(({ value }) => value)).toEqual(['new'])
    expect((await takeFrom(bus, 'unreleased', 0)).map(({ value }) => value)).toEqual(['old', 'new'])
  })

  test('an offset that was never written cannot be resumed', async () => {
    const bus = await open()
    expect(await releaseFrom(bus, A, 1)).toBe('BUS_OFFSET_GONE')
  })
}

function describeClosing (open: Open): void {
  test('closing finishes what was published before and refuses what comes after', async () => {
    const bus = await open()
    const publishing = Promise.all(Array.from({ length: 30 }, (_, index) => bus.publish([record(A, `${index}`, `${index}`)])))
    const closing = bus.close()
    await expect(bus.publish([record(A, 'k', 'late')])).rejects.toMatchObject({ category: 'unavailable', code: 'BUS_CLOSED' })
    await publishing
    await closing
    expect(await takeAll(await open(), A, 30)).toHaveLength(30)
  })

  test('closing the bus ends its consumers, and may be done twice', async () => {
    const bus = await open()
    const consumer = await consumeAll(bus, A)
    const waiting = consumer.take(10)
    await Promise.all([bus.close(), bus.close()])
    expect(await waiting).toEqual([])
    await expect(consumeAll(bus, A)).rejects.toMatchObject({ code: 'BUS_CLOSED' })
  })
}

function consumeAll (bus: Bus, topic: string): Promise<BusConsumer> {
  return bus.consume({ topic, partitions: allOf(bus, topic), resumeFrom: fromStart })
}

/** Exactly `count` records from the start of all partitions, by a consumer of its own. */
async function takeAll (bus: Bus, topic: string, count: number): Promise<readonly Taken[]> {
  const consumer = await consumeAll(bus, topic)
  const taken: Taken[] = []
  while (taken.length < count) taken.push(...flat(await consumer.take(count)))
  await consumer.close()
  return taken
}

/** What is there now. */
async function drain (consumer: BusConsumer): Promise<readonly Taken[]> {
  const taken: Taken[] = []
  for (;;) {
    const found = flat(await consumer.take(1_000, AbortSignal.timeout(500)))
    if (found.length === 0) return taken
    taken.push(...found)
  }
}

async function takeFrom (bus: Bus, topic: string, offset: number): Promise<readonly Taken[]> {
  const consumer = await bus.consume({ topic, partitions: [0], resumeFrom: async () => new Map([[0, offset]]) })
  const taken = flat(await consumer.take(100))
  await consumer.close()
  return taken
}

/** Takes and releases what is there from `offset` on; gives the code of the error when that cannot be. */
async function releaseFrom (bus: Bus, topic: string, offset: number): Promise<string> {
  try {
    const consumer = await bus.consume({ topic, partitions: [0], resumeFrom: async () => new Map([[0, offset]]) })
    for (const { partition, nextOffset } of await consumer.take(100)) consumer.release(partition, nextOffset)
    await consumer.close()
    return 'released'
  } catch (error) {
    return (error as { code: string }).code
  }
}

function flat (batches: Awaited<ReturnType<BusConsumer['take']>>): readonly Taken[] {
  return batches.flatMap(({ partition, records }) => records.map(({ offset, key, value }) => ({ partition, offset, key, value: Buffer.from(value).toString('latin1') })))
}

function valuesOf (taken: readonly Taken[], key: string): readonly string[] {
  return taken.filter(found => found.key === key).map(({ value }) => value)
}

function byPartition (positions: readonly Position[]): ReadonlyMap<string, number[]> {
  const offsets = new Map<string, number[]>()
  for (const { topic, partition, offset } of positions) {
    const key = `${topic}/${partition}`
    offsets.set(key, [...offsets.get(key) ?? [], offset])
  }
  return offsets
}

/** @param positions of records whose keys were '0', '1', … */
function keysOfDifferentPartitions (bus: Bus, positions: readonly Position[]): readonly string[] {
  const keys = Array.from({ length: bus.partitionCount(B) }, (_, partition) => positions.findIndex(position => position.partition === partition))
  return keys.filter(index => index >= 0).map(String)
}
