/** The bus on which a server of the bench runs: its settings, and what the bench sees of it. */

import type { ClientBase } from 'pg'
import { READINGS, STREAMS } from '../../src/model/streams.ts'
import { epochMs } from '../../src/model/units.ts'
import type { Bus, TopicOptions } from '../../src/platform/bus/bus.ts'
import { openEmbeddedBus } from '../../src/platform/bus/embedded/embedded-bus.ts'
import { createKafkaClient } from '../../src/platform/bus/kafka/client.ts'
import { openKafkaBus } from '../../src/platform/bus/kafka/kafka-bus.ts'
import { spansOf } from '../../src/platform/bus/kafka/topics.ts'
import { startCluster } from '../../src/platform/postgres/cluster.ts'
import { startBroker } from '../support/kafka.ts'
import { missingBroker } from '../support/missing-kafka.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { treeCpuUs } from './processes.ts'

export interface BusSite {
  kind: 'embedded' | 'kafka'
  /** Settings of a server that runs on it. */
  env: Readonly<Record<string, string>>
  /** Opened by us, with no server there. */
  withBus (dataDir: string, work: (bus: Bus) => Promise<void>): Promise<void>
  /** Offset after the last record of the readings topic, by partition. @param database on the bus database */
  ends (database: ClientBase): Promise<ReadonlyMap<number, number>>
  /** CPU used so far by processes that are neither the server's nor PostgreSQL's. */
  brokerCpuUs (): number
  /** `kill -9` of the broker, and its start on the same data; absent where PostgreSQL is the bus. */
  crash?: () => Promise<void>
}

const PARTITIONS = 8
const topics = (): TopicOptions[] => STREAMS.map(({ topic }): TopicOptions => ({ topic, partitions: PARTITIONS }))
const now = () => epochMs(Date.now())

export const EMBEDDED: BusSite = {
  kind: 'embedded',
  env: {},
  async withBus (dataDir, work) {
    const cluster = await startCluster({ dataDir })
    const bus = await openEmbeddedBus({ url: cluster.url('bus'), topics: topics(), now })
    await work(bus).finally(bus.close)
    await cluster.stop()
  },
  async ends (database) {
    const { rows } = await database.query<{ partition: number, next_offset: string }>('select p.partition, p.next_offset from bus.partition p join bus.topic t using (topic_id) where t.topic = $1', [READINGS])
    return new Map(rows.map(row => [row.partition, Number(row.next_offset)]))
  },
  brokerCpuUs: () => 0
}

/** On a broker of this machine's own, for one server alone; where there can be none, every bar says why. */
export async function onKafka (context: BenchContext, bars: Iterable<string>, measure: (site: BusSite) => Promise<Outcomes>): Promise<Outcomes> {
  const missing = missingBroker()
  if (missing !== undefined) return Object.fromEntries([...bars].map(id => [id, { skipped: missing }]))
  const broker = await startBroker({ folder: await context.folder('kafka') })
  const connection = { brokers: [broker.address] }
  const admin = createKafkaClient({ connection }).admin()
  try {
    await admin.connect()
    return await measure({
      kind: 'kafka',
      env: { OXBOW_BUS_KIND: 'kafka', OXBOW_KAFKA_BROKERS: broker.address, OXBOW_KAFKA_REPLICATION_FACTOR: '1' },
      async withBus (_dataDir, work) {
        const bus = await openKafkaBus({ connection, topics: topics(), replicationFactor: 1, now })
        await work(bus).finally(bus.close)
      },
      ends: async () => new Map([...await spansOf(admin, READINGS)].map(([partition, { high }]) => [partition, high])),
      brokerCpuUs: () => treeCpuUs(broker.pid!()),
      async crash () {
        await broker.kill()
        await broker.restart()
      }
    })
  } finally {
    await admin.disconnect()
    await broker.stop()
  }
}
