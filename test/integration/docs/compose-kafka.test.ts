/** The broker of docker/compose.yaml: a real one takes its settings, and the service `topics` makes on it what is missing. */

import { describe, expect, test } from 'vitest'
import { topicsVerb } from '../../../src/cli/topics.ts'
import { EXIT } from '../../../src/cli/verb.ts'
import { epochMs } from '../../../src/model/units.ts'
import { COMPOSE } from '../../support/compose.ts'
import { startBroker } from '../../support/kafka.ts'
import { missingBroker } from '../../support/missing-kafka.ts'

const missing = missingBroker()
const { kafka, topics } = COMPOSE.services

/** As the image makes a broker's properties of its environment, on the ports and in the folder of this machine. */
function propertiesOf (port: number, controller: number): string[] {
  return Object.entries(kafka!.environment!).filter(([name]) => name.startsWith('KAFKA_') && name !== 'KAFKA_LOG_DIRS').map(([name, value]) => {
    const here = value.replaceAll(/(?:kafka)?:9092/g, `127.0.0.1:${port}`).replaceAll(/(?:kafka)?:9093/g, `127.0.0.1:${controller}`)
    return `${name.slice('KAFKA_'.length).toLowerCase().replaceAll('_', '.')}=${here}`
  })
}

describe.skipIf(missing !== undefined)(`broker of docker/compose.yaml${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  test('it starts with its settings, and topics makes the topics once', async () => {
    const broker = await startBroker({ properties: propertiesOf })
    try {
      const said: string[] = []
      const context = {
        env: { ...topics!.environment, OXBOW_KAFKA_BROKERS: broker.address }, stdout: (text: string) => { said.push(text) }, stderr: () => {}, now: () => epochMs(Date.now()),
        signal: new AbortController().signal
      }
      expect(await topicsVerb.run(topics!.command!.slice(1), context)).toBe(EXIT.done)
      expect(said.join('')).toContain('oxbow.readings.v1: made')
      said.length = 0
      expect(await topicsVerb.run(topics!.command!.slice(1), context)).toBe(EXIT.done)
      expect(said).toEqual(['all topics are as the settings want them\n'])
    } finally {
      await broker.stop()
    }
  }, 300_000)
})
