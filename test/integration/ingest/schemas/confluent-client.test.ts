/** Confluent's own client for Python, with a token of ours, against the built-in registry; what its serializers write is taken at the door. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { authPlugin } from '../../../../src/auth/auth.plugin.ts'
import { createLocalIssuer } from '../../../../src/auth/local-issuer.ts'
import { createTokenVerifier } from '../../../../src/auth/verify-token.ts'
import { buildApp } from '../../../../src/http/app.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { registryRoutes } from '../../../../src/ingest/schemas/registry.routes.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createLogger } from '../../../../src/observability/logger.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { openConfluentClient } from '../../../support/confluent-python.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { TAKEN_AT } from '../../../support/telemetry.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

const opened = openConfluentClient('confluent-client.py')
const isRequired = process.env['OXBOW_REQUIRE'] === 'all'
if ('missing' in opened) process.stderr.write(`the test of Confluent's client for Python is skipped: ${opened.missing}\n`)

const folder = temporaryFolder('confluent')
let system: IngestSystem
let ingest: Ingest
let app: FastifyInstance

beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add('py-1')
  system.worn.push({ deviceId: 'py-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest = await system.open()
  await ingest.releaser.start()
})
afterAll(async () => {
  await app?.close()
  await system?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function serve (): Promise<{ url: string, token: string }> {
  const now = () => epochMs(Date.now())
  const issuer = await createLocalIssuer({ file: join(folder, 'keys.tokens.json'), publicUrl: '', now })
  const verify = createTokenVerifier({ issuers: [issuer.trusted], fhirBase: 'http://localhost/fhir', now })
  app = await buildApp({ log: createLogger('error', () => {}), events: { request: () => {} }, auth: authPlugin({ verify }), routes: [registryRoutes(ingest.registry!)], isDemo: false, bodyMax: 1_000_000 })
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  return { url: `${address}/schema-registry`, token: await issuer.issue({ scope: '__schemas.read __schemas.write', subject: 'maker', clientId: 'python', ttlS: 600 }) }
}

test.skipIf('missing' in opened && !isRequired)('a client of Confluent registers, looks up and asks, and what its serializers write becomes readings', async () => {
  if ('missing' in opened) throw new Error(opened.missing)
  const { url, token } = await serve()
  const found = await opened.client(url, token, String(TAKEN_AT))
  const id = found['again'] as number
  expect(found).toMatchObject({
    registered: ['patch-value', 1, id], latest: [1, id, true], byId: 'PyPatch', subjects: ['TissueOxygen', 'patch-value', 'ring-value', 'strap-value'], versions: [1],
    compatible: true, incompatible: false, broken: [409, 409], unreadable: [422, 42201], nobody: [404, 40401], removed: [405, 405], mode: ['BACKWARD', { compatibility: 'FULL' }, 'FULL']
  })
  for (const [kind, type] of [['avro', 'application/avro'], ['json', 'application/json'], ['protobuf', 'application/x-protobuf']] as const) {
    const bytes = Buffer.from((found['messages'] as Record<string, string>)[kind]!, 'base64')
    const { body } = await ingest.accept({ bytes, contentType: type, contentEncoding: '' })
    expect(body, kind).toMatchObject({ received: 1, accepted: 1, fields: [] })
  }
  // As they lie on a topic, where the schema alone says what they are.
  const messages = Object.values(found['messages'] as Record<string, string>).map((text, number) => (
    { bytes: Buffer.from(text, 'base64'), contentType: 'application/x-confluent', contentEncoding: '', source: { inlet: 'kafka/py/0', number } }))
  expect(await ingest.acceptMessages(messages)).toEqual({ received: 3, accepted: 3, quarantined: 0 })
  const readings = (await system.batches()).flatMap(batch => batch.readings)
  expect(readings.map(({ takenAt, values }) => [takenAt - TAKEN_AT, values]).sort()).toEqual([0, 0, 1, 1, 2, 2].map(ms => [ms, [41.5]]))
}, 400_000)
