/** A device with a schema of its own, through the public API: unknown, kept, registered, re-submitted, seen as an Observation; then its schema evolves. */

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bedside, createBedside, iso } from '../support/bedside.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { framed } from '../support/telemetry.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const dataDir = makeDataDir()
const MINUTE = 60_000
const M = Math.floor((Date.now() - 6 * 3_600_000) / MINUTE) * MINUTE
const FIRST_ID = 101

let oxbow: Oxbow
let ward: Bedside
let schemaToken = ''

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env: { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s' } })
  ward = createBedside(oxbow, await oxbow.token('__telemetry.write system/*.cruds'))
  schemaToken = await oxbow.token('__schemas.read __schemas.write')
})
afterAll(async () => {
  await endOxbow(oxbow, dataDir)
})

const PATCH = {
  type: 'record',
  name: 'Patch',
  fields: [
    { name: 'serial', type: 'string', 'oxbow.field': 'deviceId' },
    { name: 'at', type: 'long', aliases: ['timestamp_utc'] },
    { name: 'po2', type: 'double', 'oxbow.metric': 'tissue-po2', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }
  ]
}

async function registry (method: string, path: string, body?: object, token = schemaToken): Promise<{ status: number, body: Record<string, unknown> }> {
  const answer = await fetch(`${oxbow.address}/schema-registry${path}`, {
    method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/vnd.schemaregistry.v1+json' }, ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  return { status: answer.status, body: await answer.json() as Record<string, unknown> }
}

async function ready (): Promise<{ alarms: string[] }> { return await (await fetch(`${oxbow.address}/health/ready`)).json() as { alarms: string[] } }

test('readings in an unknown schema wait with an alarm, and become Observations once it is registered and they are re-submitted', async () => {
  const { patient } = await ward.admit({ deviceId: 'patch-1', mrn: 'patch-a', start: iso(M - 86_400_000) })
  const type = avro.Type.forSchema(PATCH as avro.Schema)
  const records = Array.from({ length: 60 }, (_, place) => type.toBuffer({ serial: 'patch-1', at: M + place * 1_000, po2: 30 + place / 10 }))
  const { status, body } = await ward.ehr.telemetry(framed(FIRST_ID, records), 'application/avro')
  expect([status, body.received, body.accepted, body.rejected.map(({ reason }) => reason)]).toEqual([400, 1, 0, ['schema-unknown']])
  expect((await ready()).alarms).toContain('schema-refused')
  expect((await oxbow.verb('doctor')).stdout).toContain('quarantine resubmit --reason schema-unknown')
  const metrics = await (await fetch(`${oxbow.address}/metrics`)).text()
  expect(metrics).toContain('oxbow_quarantined_total{reason="schema-unknown"} 1')
  expect((await oxbow.verb('quarantine', 'resubmit', '--reason', 'schema-unknown')).stdout).toBe('re-submitted 0, remaining 1\n')

  expect(await registry('POST', '/subjects/Patch/versions', { schema: JSON.stringify(PATCH) })).toMatchObject({ status: 200, body: { id: FIRST_ID } })
  const again = await oxbow.verb('quarantine', 'resubmit', '--reason', 'schema-unknown')
  expect([again.code, again.stdout]).toEqual([0, 're-submitted 1, remaining 0\n'])
  const [window] = await ward.eventuallyWindows(patient, windows => { expect(windows.map(({ status }) => status)).toEqual(['final']) })
  expect(window!.valueSampledData!.data.split(' ').map(Number)).toEqual(records.map((_, place) => 30 + place / 10))
  expect(JSON.stringify(window)).toContain(`schema-${FIRST_ID}`)
})

test('a version that would break the mapping is not activated, and one that adds a channel is', async () => {
  const register = (fields: readonly object[]) => registry('POST', '/subjects/Patch/versions', { schema: JSON.stringify({ ...PATCH, fields }) })
  const broken = await register(PATCH.fields.map(field => field.name === 'po2' ? { ...field, 'oxbow.metric': 'tissue-po2-deep' } : field))
  expect(broken).toMatchObject({ status: 409, body: { error_code: 409, message: expect.stringContaining('channel tissue-po2 (tissue-po2, mm[Hg]) would no longer be delivered') } })
  const more = [...PATCH.fields, { name: 'spo2', type: ['null', 'double'], default: null }]
  const { status, body } = await register(more)
  expect(status).toBe(200)
  const type = avro.Type.forSchema({ ...PATCH, fields: more } as avro.Schema, { wrapUnions: true })
  const answer = await ward.ehr.telemetry(framed(body['id'] as number, [type.toBuffer({ serial: 'patch-1', at: M + 5 * MINUTE, po2: 31, spo2: { double: 97 } })]), 'application/avro')
  expect([answer.status, answer.body.accepted]).toEqual([200, 1])
})

test('the verb checks, registers and lists beside the running server, which takes readings in the schema at once', async () => {
  const folder = temporaryFolder('schema-files')
  const file = join(folder, 'strap.avsc')
  writeFileSync(file, JSON.stringify({ ...PATCH, name: 'Strap' }))
  try {
    expect(await oxbow.verb('schema', 'check', file, '--subject', 'Strap')).toMatchObject({ code: 0, stdout: expect.stringContaining('it may be registered') })
    const { code, stdout } = await oxbow.verb('schema', 'register', file, '--subject', 'Strap', '--json')
    expect(code).toBe(0)
    const { id } = JSON.parse(stdout) as { id: number }
    expect((await oxbow.verb('schema', 'list')).stdout).toContain(`id ${id}`)
    const record = avro.Type.forSchema({ ...PATCH, name: 'Strap' } as avro.Schema).toBuffer({ serial: 'patch-1', at: M + 7 * MINUTE, po2: 32 })
    const answer = await ward.ehr.telemetry(record, 'application/avro', { 'Oxbow-Schema-Id': String(id) })
    expect([answer.status, answer.body.accepted]).toEqual([200, 1])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('reading the registry and writing it are opened by scopes of their own', async () => {
  const [reader, sender] = await Promise.all([oxbow.token('__schemas.read'), oxbow.token('__telemetry.write')])
  expect((await registry('GET', '/subjects', undefined, reader)).status).toBe(200)
  expect((await registry('POST', '/subjects/Mine/versions', { schema: JSON.stringify(PATCH) }, reader)).status).toBe(403)
  expect((await registry('GET', '/subjects', undefined, sender)).status).toBe(403)
  expect((await fetch(`${oxbow.address}/schema-registry/subjects`)).status).toBe(401)
  expect((await registry('GET', '/nothing')).status).toBe(404)
})
