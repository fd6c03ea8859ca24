import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMappings } from '../../../../src/fhir/views/mapping.ts'
import { createFrameTools } from '../../../../src/fhir/views/observation-frame.ts'
import { createObservations } from '../../../../src/fhir/views/observations.ts'
import { VISIBLE_ALL } from '../../../../src/fhir/words/search-words.ts'
import { recordMappings } from '../../../../src/fhir/views/record-mappings.ts'
import { createPipelines, pipelineSettings } from '../../../../src/fhir/views/pipelines.ts'
import { DEMO_CODING } from '../../../../src/fhir/words/demo-coding.ts'
import { identifierSystem } from '../../../../src/model/identifier.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { recordTexts } from '../../../../src/stores/series/pinned-texts.ts'
import { create, MODELS, patient, reader, update } from '../../../support/linkage-fixtures.ts'
import { DAG, MINUTE, queryOf, T0, testWard, type Ward, windowOf } from '../../../support/views.ts'

let ward: Ward
let sid: Sid
let minute = 0

beforeAll(async () => {
  ward = await testWard()
  sid = await ward.admit('anna')
})
afterAll(async () => { await ward.drop() })

function text (id: string, versionId?: string) { return ward.observations.readText(id, versionId, VISIBLE_ALL) }
function idOf (row: WindowRevision, kind = 'sampled') { return viewsOf(row).find(view => view.kind === kind)!.id }
function later (row: WindowRevision, wish: Partial<WindowRevision>): WindowRevision {
  const revision = wish.revision ?? row.revision + 1
  return { ...row, revision, status: 'amended', issued: epochMs(row.issued + revision * MINUTE), ...wish }
}
const next = () => windowOf(ward.mappings, sid, minute++)

test('a closed window is readable at once as version 1; an open one and an unknown id are not there', async () => {
  const row = next()
  expect(await text(idOf(row))).toBeUndefined()
  await ward.commit([row])
  const found = await text(idOf(row))
  expect(found).toMatchObject({ versionId: '1', lastUpdated: row.issued })
  expect(JSON.parse(found!.text)).toMatchObject({ id: idOf(row), status: 'final' })
  expect(await text('no-such-id')).toBeUndefined()
  expect(await text(idOf(row), '2')).toBeUndefined()
  expect(await text(idOf(row), '01')).toBeUndefined()
})

test('late data give version 2, and version 1 keeps its bytes', async () => {
  const row = next()
  await ward.commit([row])
  const first = await text(idOf(row))
  await ward.commit([later(row, {})])
  expect(JSON.parse((await text(idOf(row)))!.text)).toMatchObject({ meta: { versionId: '2' }, status: 'amended' })
  expect(await text(idOf(row), '1')).toEqual(first)
  const versions = async (page: { count: number, before?: number }) => (await ward.observations.history(idOf(row), page, VISIBLE_ALL)).map(({ meta }) => meta?.versionId)
  expect(await versions({ count: 10 })).toEqual(['2', '1'])
  expect(await versions({ count: 1 })).toEqual(['2'])
  expect(await versions({ count: 10, before: 2 })).toEqual(['1'])
})

test('a Patient or Device that is marked DEMO later, and no longer, changes nothing that was written before', async () => {
  const sidOf = await ward.admit('marked')
  const commit = async (minute: number) => {
    const row = windowOf(ward.mappings, sidOf, minute)
    await ward.commit([row])
    return { id: idOf(row), text: (await text(idOf(row), '1'))!.text, issued: row.issued }
  }
  const tagged = { meta: { tag: [DEMO_CODING] } }
  const before = await commit(0)
  await update(ward.repository, { ...patient('pat-marked'), ...tagged }, epochMs(before.issued + 1))
  ward.contexts.forget('all')
  const during = await commit(1)
  await update(ward.repository, patient('pat-marked'), epochMs(during.issued + 1))
  await update(ward.repository, { ...reader('dev-marked', 'reader-marked'), ...tagged }, epochMs(during.issued + 2))
  ward.contexts.forget('all')
  const after = await commit(2)
  await update(ward.repository, reader('dev-marked', 'reader-marked'), epochMs(after.issued + 1))
  ward.contexts.forget('all')
  const unmarked = await commit(3)
  expect([before, during, after, unmarked].map(one => one.text.includes('"DEMO"'))).toEqual([false, true, true, false])
  for (const one of [before, during, after, unmarked]) expect((await text(one.id, '1'))!.text).toBe(one.text)
})

test('a DeviceMetric that comes later names the windows issued from then on', async () => {
  const sidOf = await ward.admit('measured')
  const commit = async (minute: number) => {
    const row = windowOf(ward.mappings, sidOf, minute, { metric: 'signal-quality-index' })
    await ward.commit([row])
    return { id: idOf(row), text: (await text(idOf(row), '1'))!.text, issued: row.issued }
  }
  const before = await commit(0)
  await create(ward.repository, {
    resourceType: 'DeviceMetric', id: 'dm-late', category: 'measurement', type: { text: 'signal quality' }, source: { reference: 'Device/dev-measured' },
    identifier: [{ system: identifierSystem('device-metric'), value: 'reader-measured/signal-quality-index' }]
  }, epochMs(before.issued + 1))
  ward.contexts.forget('all')
  const after = await commit(1)
  expect((await text(before.id, '1'))!.text).toBe(before.text)
  const meta = (one: typeof before) => { const { device, meta } = JSON.parse(one.text) as { device: object, meta: { profile?: string[] } }; return [device, meta.profile?.length] }
  expect([meta(before), meta(after)]).toEqual([[{ reference: 'Device/dev-measured' }, undefined], [{ reference: 'DeviceMetric/dm-late' }, 1]])
  const found = async (device: string) => (await ward.observations.searchTexts(queryOf({ devices: [{ type: device === 'dm-late' ? 'DeviceMetric' : 'Device', id: device }] }), VISIBLE_ALL)).texts.map(({ id }) => id)
  expect([await found('dev-measured'), await found('dm-late')]).toEqual([[before.id], [after.id]])
})

test('before a withdrawal every version is gone, the last one keeps identifier and no value', async () => {
  const row = next()
  await ward.commit([row])
  const { statistics: _statistics, ...rest } = row
  await ward.commit([later(rest, { status: 'entered-in-error', form: { form: 'empty' } })])
  for (const kind of ['sampled', 'mean', 'rate']) {
    const found = JSON.parse((await text(idOf(row, kind)))!.text) as Record<string, unknown>
    expect(found).toMatchObject({ meta: { versionId: '2' }, status: 'entered-in-error', identifier: [expect.anything()] })
    expect(found).not.toHaveProperty('valueSampledData')
    await expect(text(idOf(row, kind), '1')).rejects.toMatchObject({ code: 'FHIR_GONE' })
  }
  expect(await ward.observations.history(idOf(row), { count: 10 }, VISIBLE_ALL)).toHaveLength(1)
})

test('a window that goes on reading by reading ends its SampledData, and begins its readings at the next version', async () => {
  const row = next()
  const sample = { takenAt: epochMs(row.windowStart + 10), sequence: 3, value: 41.5 }
  const second = later(row, { form: { form: 'singles', samples: [sample] } })
  await ward.commit([row])
  await ward.commit([second])
  expect(JSON.parse((await text(idOf(row)))!.text)).toMatchObject({ status: 'entered-in-error', meta: { versionId: '2' } })
  await expect(text(idOf(row), '1')).rejects.toMatchObject({ code: 'FHIR_GONE' })
  const single = idOf(second, 'single')
  expect(JSON.parse((await text(single))!.text)).toMatchObject({ status: 'amended', meta: { versionId: '2' }, valueQuantity: { value: 41.5 } })
  expect(await text(single, '1')).toBeUndefined()
  await ward.commit([later(row, { revision: 3 })])
  expect(JSON.parse((await text(idOf(row)))!.text)).toMatchObject({ status: 'amended', meta: { versionId: '3' } })
  expect(JSON.parse((await text(single))!.text)).toMatchObject({ status: 'entered-in-error', meta: { versionId: '3' } })
})

test('another patient sees nothing of it, under any version', async () => {
  const row = next()
  await ward.commit([row])
  await ward.admit('other')
  const visibleTo = [{ patientId: 'pat-other', filters: [] }]
  expect(await ward.observations.readText(idOf(row), undefined, visibleTo)).toBeUndefined()
  expect(await ward.observations.readText(idOf(row), '1', visibleTo)).toBeUndefined()
  expect(await ward.observations.history(idOf(row), { count: 10 }, visibleTo)).toEqual([])
})

test('version 1 keeps its bytes after the mapping changed, and a change under the same version refuses the start', async () => {
  const row = next()
  await ward.commit([row])
  const first = await text(idOf(row))
  const record = (texts: Parameters<typeof recordTexts>[1]) => recordTexts(ward.seriesDatabase.pool, texts)
  const current = { dagDigest: DAG, settings: pipelineSettings(30_000, MODELS) }
  await recordMappings({ mappings: ward.mappings, pipelines: createPipelines(), current, record })

  const files = ward.mappings.all().map(({ file }) => file)
  const renamed = files.map(file => file.name === 'tissue-po2' ? { ...file, version: 2, views: { ...file.views, sampled: { ...file.views.sampled!, code: { ...file.views.sampled!.code, text: 'Another text' } } } } : file)
  const mappings = createMappings(renamed)
  const pipelines = createPipelines()
  const newer = { dagDigest: `${DAG}1`, settings: pipelineSettings(5_000, MODELS) }
  await recordMappings({ mappings, pipelines, current: newer, record })
  const tools = createFrameTools({ mappings, pipelines, schemaName: id => `TissueOxygen.v${id}` })
  const restarted = createObservations({
    seriesPool: ward.seriesDatabase.pool, ledger: ward.series.ledger, linkagePool: ward.linkage.pool, contexts: ward.contexts, tools, writes: ward.writes
  })
  expect(await restarted.readText(idOf(row), '1', VISIBLE_ALL)).toEqual(first)
  const second = later(row, { provenance: [{ ...row.provenance[0]!, mappingVersion: 'tissue-po2@2', dagDigest: `${DAG}1` }] })
  await ward.commit([second])
  expect((await restarted.readText(idOf(row), undefined, VISIBLE_ALL))!.text).toContain('Another text')
  expect(await restarted.readText(idOf(row), '1', VISIBLE_ALL)).toEqual(first)

  const changed = createMappings(renamed.map(file => file.name === 'tissue-po2' ? { ...file, unitText: {} } : file))
  await expect(recordMappings({ mappings: changed, pipelines: createPipelines(), current: newer, record })).rejects.toMatchObject({ code: 'MAPPING_INVALID', message: expect.stringContaining('tissue-po2@2') })
})

test('a device moved to another patient gives each their own window', async () => {
  const grete = await ward.admit('grete', { end: '2026-02-11T08:30:20.000Z' })
  const hans = await ward.admit('hans', { device: 'dev-grete', start: '2026-02-11T08:30:20.000Z' })
  const clip = epochMs(Date.parse('2026-02-11T08:30:20.000Z'))
  const windowStart = epochMs(clip - 20_000)
  const of = (who: Sid, from: number, until: number) => windowOf(ward.mappings, who, 0, {
    windowStart, from: epochMs(from), until: epochMs(until), form: { form: 'sampled', gridStart: epochMs(from), periodMs: 1000, tokenCount: (until - from) / 1000, data: '1' }
  })
  const rows = [of(grete, windowStart, clip), of(hans, clip, windowStart + MINUTE)]
  await ward.commit(rows)
  const texts = await Promise.all(rows.map(row => text(idOf(row))))
  expect(texts.map(one => (JSON.parse(one!.text) as { subject: unknown }).subject)).toEqual([{ reference: 'Patient/pat-grete' }, { reference: 'Patient/pat-hans' }])
  expect(new Set(rows.map(row => idOf(row))).size).toBe(2)
  expect(texts.map(one => (JSON.parse(one!.text) as { effectivePeriod: object }).effectivePeriod)).toEqual([
    { start: '2026-02-11T08:30:00.000Z', end: '2026-02-11T08:30:20.000Z' }, { start: '2026-02-11T08:30:20.000Z', end: '2026-02-11T08:31:00.000Z' }
  ])
  expect(T0).toBeLessThan(windowStart)
})
