import { expect, test } from 'vitest'
import { schemaCheck } from '../../../../src/cli/doctor/schema-checks.ts'
import { SCHEMAS } from '../../../../src/ingest/decode/fixed-schemas.ts'
import type { StoredVersion } from '../../../../src/ingest/schemas/registry-rows.ts'
import { MODELS } from '../../../support/ingest-door.ts'

const version = (subject: string, ...fields: object[]): StoredVersion => ({
  subject, version: 3, id: 101, type: 'AVRO', text: JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, ...fields] })
})
const channel = (metric: string, kind: string, unit: string) => ({ name: 'x', type: 'double', 'oxbow.metric': metric, 'oxbow.kind': kind, 'oxbow.unit': unit })
const run = (...active: StoredVersion[]) => schemaCheck({ active: async () => active, models: async () => MODELS }).run()

test('schemas that fit the models are well, whether a model has their channels or not', async () => {
  const product: StoredVersion = { subject: 'TissueOxygen', version: 2, id: 2, type: 'AVRO', text: JSON.stringify(SCHEMAS[1]!.schema) }
  expect(await run(product, version('A', channel('tissue-po2', 'tissue-po2', 'mm[Hg]')), version('B', channel('new', 'tissue-sto2', '%')))).toEqual({ verdict: 'ok', message: '3 subjects, whose active schemas fit the device models' })
  expect(await run()).toMatchObject({ verdict: 'note' })
})

test('a model that changed since, and a schema that cannot be read any more, are wrong, with what to do', async () => {
  expect(await run(version('A', channel('tissue-po2', 'tissue-sto2', '%')), version('B', { name: 'y', type: 'int' }))).toMatchObject({
    verdict: 'wrong', message: expect.stringMatching(/^A version 3: channel tissue-po2 \(tissue-sto2, %\): the device models have it as tissue-po2, mm\[Hg\]; B version 3: field y is no field of ours/), todo: expect.stringContaining('mend the device models')
  })
})
