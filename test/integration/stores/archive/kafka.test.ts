import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import { type EpochMs, epochMs } from '../../../../src/model/units.ts'
import type { Bus } from '../../../../src/platform/bus/bus.ts'
import { createKafkaClient } from '../../../../src/platform/bus/kafka/client.ts'
import { openKafkaBus } from '../../../../src/platform/bus/kafka/kafka-bus.ts'
import { spansOf } from '../../../../src/platform/bus/kafka/topics.ts'
import { type ArchiveSystem, archiveSystem } from '../../../support/archive-system.ts'
import { anyBroker, type Broker } from '../../../support/kafka.ts'
import { missingKafka } from '../../../support/missing-kafka.ts'

const missing = missingKafka()

describe.skipIf(missing !== undefined)(`the archive on a real Kafka${missing === undefined ? '' : ` (${missing})`}`, () => {
  const prefix = `test-${randomBytes(6).toString('hex')}.`
  let broker: Broker
  let system: ArchiveSystem

  const openBus = (now: () => EpochMs): Promise<Bus> => openKafkaBus({
    connection: { brokers: [broker.address] }, prefix, replicationFactor: 1, retentionEveryMs: 100, now, topics: [{ topic: READINGS, partitions: 4 }, { topic: RAW, partitions: 4, retainMs: 0 }]
  })
  const ends = async (bus: Bus) => new Map((await bus.ends(RAW)).entries())

  beforeAll(async () => {
    broker = await anyBroker()
    system = await archiveSystem((_, now) => openBus(now), ends)
  }, 300_000)
  afterAll(async () => {
    await system?.close()
    await broker?.stop()
  })

  test('two servers share the partitions, change them under load, and archive each record once', async () => {
    const worn = Array.from({ length: 8 }, () => system.wornDevice().deviceId)
    const send = async (requests: number): Promise<void> => { for (let request = 0; request < requests; request++) await system.post([...worn, 'nobody'], 18) }
    const first = await system.start()
    await send(10)
    const other = await openBus(() => system.now)
    const second = await system.start({ bus: other })
    await send(20)
    await system.archived()
    await first.stop()
    await send(10)
    // What the other one releases is told here within a second.
    await vi.waitFor(async () => { expect((await system.verify()).underway.records).toBe(0) }, { timeout: 40_000, interval: 300 })
    await second.stop()
    await other.close()
    expect(await system.verify()).toMatchObject({ ok: true, findings: [], readings: { opened: 640, erased: 0 }, requests: { complete: 40, unanswered: 0, unjudged: 0 }, quarantine: { waiting: 80 } })
  }, 120_000)

  test('what is archived goes from the cluster, and a new server goes on behind it', async () => {
    system.now = epochMs(Date.now() + 60_000)
    await vi.waitFor(async () => { expect(await leftOnCluster()).toBe(0) }, { timeout: 40_000, interval: 500 })
    const writer = await system.start()
    await system.post([system.wornDevice().deviceId], 5)
    await system.archived()
    await writer.stop()
    const begins = async () => {
      const admin = createKafkaClient({ connection: { brokers: [broker.address] } }).admin()
      await admin.connect()
      return new Map([...await spansOf(admin, prefix + RAW).finally(() => admin.disconnect())].map(([partition, { low }]) => [partition, low]))
    }
    expect(await system.verify({}, { begins })).toMatchObject({ ok: true, readings: { opened: 645 } })
  }, 120_000)

  async function leftOnCluster (): Promise<number> {
    const admin = createKafkaClient({ connection: { brokers: [broker.address] } }).admin()
    await admin.connect()
    try {
      return [...await spansOf(admin, prefix + RAW)].reduce((sum, [, { low, high }]) => sum + high - low, 0)
    } finally {
      await admin.disconnect()
    }
  }
})
