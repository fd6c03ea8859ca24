import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import type { Bus } from '../../../../../src/platform/bus/bus.ts'
import { openKafkaBus } from '../../../../../src/platform/bus/kafka/kafka-bus.ts'
import { type BusStore, describeBus } from '../../../../support/bus.contract.ts'
import { anyBroker, type Broker } from '../../../../support/kafka.ts'
import { missingKafka } from '../../../../support/missing-kafka.ts'

const missing = missingKafka()

describe.skipIf(missing !== undefined)(`a real Kafka${missing === undefined ? '' : ` (${missing})`}`, () => {
  let broker: Broker
  beforeAll(async () => { broker = await anyBroker() }, 300_000)
  afterAll(async () => { await broker.stop() })

  async function createStore (): Promise<BusStore> {
    const prefix = `test-${randomBytes(6).toString('hex')}.`
    const opened: Bus[] = []
    return {
      open: async ({ now = Date.now, ...settings }) => {
        const bus = await openKafkaBus({ connection: { brokers: [broker.address] }, prefix, replicationFactor: 1, retentionEveryMs: 50, now: () => epochMs(now()), ...settings })
        opened.push(bus)
        return bus
      },
      drop: async () => { await Promise.all(opened.map(bus => bus.close())) }
    }
  }

  describeBus('bus on Kafka', createStore)
})
