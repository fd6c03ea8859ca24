import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { missingKafka } from './support/missing-kafka.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const noKafka = missingKafka()
if (noKafka !== undefined) process.stderr.write(`the end-to-end tests on Kafka are skipped: ${noKafka}\n`)
const e2e = { root, fileParallelism: false, testTimeout: 600_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    root,
    projects: [
      { test: { root, name: 'unit', include: ['test/unit/**/*.test.ts', 'test/architecture.test.ts'], globalSetup: ['test/support/assert-node.ts'] } },
      {
        test: {
          root,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000
        }
      },
      { test: { ...e2e, name: 'e2e', include: ['test/e2e/**/*.test.ts'], globalSetup: ['test/support/global-setup.ts'] } },
      // The same ways with Kafka between the door and the store, after the others: but for those of the clone and the image, which have no bus of their own,
      // and of the key service, which asks nothing of it.
      {
        test: {
          ...e2e,
          name: 'e2e-kafka',
          include: noKafka === undefined ? ['test/e2e/**/*.test.ts'] : [],
          exclude: ['test/e2e/clean-clone.test.ts', 'test/e2e/image.test.ts', 'test/e2e/key-service.test.ts'],
          globalSetup: noKafka === undefined ? ['test/support/global-setup.ts', 'test/support/kafka-setup.ts'] : [],
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
