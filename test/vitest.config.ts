import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { missingKafka } from './support/missing-kafka.ts'
import { missingTimescale } from './support/missing-timescale.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const noKafka = missingKafka()
if (noKafka !== undefined) process.stderr.write(`the end-to-end tests on Kafka are skipped: ${noKafka}\n`)
const noTimescale = missingTimescale()
if (noTimescale !== undefined) process.stderr.write(`the tests of the series store on TimescaleDB are skipped: ${noTimescale}\n`)
const integration = { root, testTimeout: 60_000, hookTimeout: 120_000 }
/** Only with the extension. */
const TIMESCALE_ALONE = 'test/integration/**/*.timescale.test.ts'
/** What reads or writes the series store. */
const ON_SERIES = [
  'test/integration/stores/series/**/*.test.ts', 'test/integration/stream/**/*.test.ts', 'test/integration/fhir/jobs/**/*.test.ts', 'test/integration/fhir/views/**/*.test.ts',
  'test/integration/stores/reprocess/**/*.test.ts', 'test/integration/ingest/quarantine/release*.test.ts', 'test/integration/platform/postgres/migrate.test.ts', 'test/integration/cli/held.test.ts', TIMESCALE_ALONE
]
const e2e = { root, fileParallelism: false, testTimeout: 600_000, hookTimeout: 120_000 }

export default defineConfig({
  test: {
    root,
    projects: [
      { test: { root, name: 'unit', include: ['test/unit/**/*.test.ts', 'test/architecture.test.ts'], globalSetup: ['test/support/assert-node.ts'] } },
      {
        test: { ...integration, name: 'integration', include: ['test/integration/**/*.test.ts'], exclude: [TIMESCALE_ALONE], globalSetup: ['test/support/global-setup.ts'] }
      },
      // The series store a second time, on PostgreSQL 15 with TimescaleDB.
      {
        test: {
          ...integration,
          name: 'integration-timescale',
          include: noTimescale === undefined ? ON_SERIES : [],
          globalSetup: noTimescale === undefined ? ['test/support/timescale-setup.ts'] : []
        }
      },
      { test: { ...e2e, name: 'e2e', include: ['test/e2e/**/*.test.ts'], exclude: ['test/e2e/kafka/**'], globalSetup: ['test/support/global-setup.ts'] } },
      // The same ways with Kafka between the door and the store, after the others: but for those of the clone and the image, which have no bus of their own,
      // and of the key service, which asks nothing of it. In `kafka/` stands what only Kafka can show.
      {
        test: {
          ...e2e,
          name: 'e2e-kafka',
          include: noKafka === undefined ? ['test/e2e/**/*.test.ts'] : [],
          exclude: ['test/e2e/clean-clone.test.ts', 'test/e2e/image.test.ts', 'test/e2e/key-service.test.ts'],
          globalSetup: noKafka === undefined ? ['test/support/global-setup.ts', 'test/support/kafka-setup.ts'] : [],
          sequence: { groupOrder: 1 }
        }
      },
      // The same with every store on PostgreSQL 15, readings in a hypertable: the ways on which they come in, are corrected, move and go out.
      {
        test: {
          ...e2e,
          name: 'e2e-timescale',
          include: noTimescale === undefined ? ['first-reading', 'corrections', 'waiting', 'egress', 'slow-append'].map(name => `test/e2e/${name}.test.ts`) : [],
          globalSetup: noTimescale === undefined ? ['test/support/timescale-setup.ts'] : [],
          sequence: { groupOrder: 2 }
        }
      }
    ]
  }
})
