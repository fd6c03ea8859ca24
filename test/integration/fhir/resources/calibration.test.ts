import type { DeviceMetric } from '@medplum/fhirtypes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { VISIBLE_ALL } from '../../../../src/fhir/words/search-words.ts'
import { createViewContexts } from '../../../../src/fhir/views/view-contexts.ts'
import { identifierSystem } from '../../../../src/model/identifier.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { sidsOfDevice } from '../../../../src/stores/linkage/association.ts'
import { finishRecalibration, openRecalibrations } from '../../../../src/stores/linkage/calibration.ts'
import { createFirmwareNumber } from '../../../../src/stores/linkage/firmware.ts'
import { createSidContexts } from '../../../../src/stores/linkage/sid-contexts.ts'
import { allSids, metricPlaces, placesOfAssociations, placesOfDevices, placesOfPatients } from '../../../../src/stores/linkage/sid-lookup.ts'
import { type CalibrationWish, association, create, NOW, patient, reader, testRepository, update, withCalibrations } from '../../../support/linkage-fixtures.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

const at = (text: string) => epochMs(Date.parse(`2026-02-10T${text}Z`))
const iso = (text: string) => `2026-02-10T${text}Z`
const rule = { code: 'FHIR_BUSINESS_RULE' }

async function ward (name: string) {
  const { repository, commits } = testRepository(database.pool)
  await create(repository, patient(`p-${name}`))
  await create(repository, reader(`d-${name}`, `device-${name}`))
  await create(repository, association(`a-${name}`, `d-${name}`, `p-${name}`, iso('10:00:00')))
  const found = await repository.search('DeviceMetric', {
    identifiers: [[{ system: identifierSystem('device-metric'), code: `device-${name}/tissue-po2` }]], lastUpdated: [], descending: false, count: 2, total: 'none', asOf: NOW
  }, VISIBLE_ALL, NOW)
  const metric = found.versions[0]!.resource as DeviceMetric
  const [sid] = (await sidsOfDevice(database.pool, `d-${name}`)).map(one => one.sid)
  const record = (...wishes: CalibrationWish[]) => update(repository, withCalibrations(metric, wishes))
  return { repository, commits, metric, sid: sid!, record }
}

const future: CalibrationWish = { version: 'cal-1', offset: 1, start: iso('20:00:00') }
const past: CalibrationWish = { version: 'cal-2', offset: 2, start: iso('11:00:00'), end: iso('12:00:00') }

test('a calibration is recorded with the DeviceMetric version that brings it, and the stream gets it by number', async () => {
  const { commits, sid, record, metric } = await ward('record')
  await record(future)
  expect(commits.at(-1)).toMatchObject({ devices: ['d-record'], sids: [sid], recalibrationJobs: [] })
  const contexts = await createSidContexts(database.pool)([sid])
  expect(contexts.get(sid)).toEqual({
    sid, model: 'Example Sensors Inc./TO2-READER-2', validFrom: at('10:00:00'),
    calibrations: [{ number: expect.any(Number), metric: 'tissue-po2', kind: 'offset', coefficients: { offset: 1 }, from: at('20:00:00'), state: 'calibrated' }]
  })
  const { rows } = await database.pool.query('select metric_id, metric_version, version from linkage.calibration where device = $1', ['d-record'])
  expect(rows).toEqual([{ metric_id: metric.id, metric_version: 2, version: 'cal-1' }])
})

test('a calibration with effect in the past is computed again for the sids from then on: behind its end values are stale', async () => {
  const { commits, sid, record } = await ward('past')
  await record(past)
  const [id] = commits.at(-1)!.recalibrationJobs
  const job = (await openRecalibrations(database.pool, 100)).find(one => one.id === id)
  expect(job).toMatchObject({ sids: [sid], metric: 'tissue-po2', span: { from: at('11:00:00') } })
  expect(job?.span).not.toHaveProperty('until')
  await finishRecalibration(database.pool, id!, NOW)
  expect((await openRecalibrations(database.pool, 100)).some(one => one.id === id)).toBe(false)
})

test('a calibration that ended before the device was worn makes the values of whoever wore it then stale', async () => {
  const { commits, record, sid } = await ward('nobody')
  await record({ ...past, start: iso('08:00:00'), end: iso('09:00:00') })
  const [id] = commits.at(-1)!.recalibrationJobs
  expect((await openRecalibrations(database.pool, 100)).find(one => one.id === id)).toMatchObject({ sids: [sid], span: { from: at('08:00:00') } })
})

test('a recorded calibration never changes and never goes', async () => {
  const { record, repository, metric } = await ward('fixed')
  await record(future)
  await record(future, past)
  await expect(record({ ...future, offset: 3 }, past)).rejects.toMatchObject(rule)
  await expect(record({ ...future, end: iso('21:00:00') }, past)).rejects.toMatchObject(rule)
  await expect(record(past)).rejects.toMatchObject(rule)
  await expect(update(repository, metric)).rejects.toMatchObject(rule)
  // A new one takes the place of both; the old ones stay on record.
  await record({ ...future, version: 'cal-3', offset: 4 })
  await expect(record({ ...future, version: 'cal-3', offset: 4 }, { ...past, offset: 9 })).rejects.toMatchObject(rule)
  const { rows } = await database.pool.query('select version from linkage.calibration where device = $1 order by number', ['d-fixed'])
  expect(rows.map(({ version }) => version)).toEqual(['cal-1', 'cal-2', 'cal-3'])
})

test('a calibration in another unit than the metric is refused', async () => {
  const { repository, metric } = await ward('unit')
  const text = JSON.stringify(withCalibrations(metric, [future])).replace('"value":1,"system":"http://unitsofmeasure.org","code":"mm[Hg]"', '"value":1,"system":"http://unitsofmeasure.org","code":"kPa"')
  await expect(update(repository, JSON.parse(text) as DeviceMetric)).rejects.toMatchObject(rule)
})

test('the server login can neither change nor remove what was recorded', async () => {
  for (const sql of ['update linkage.calibration set kind = kind', 'delete from linkage.calibration', 'delete from fhir.history', 'update fhir.history set version = version', 'delete from fhir.resource', 'delete from linkage.sid_map']) {
    await expect(database.pool.query(sql)).rejects.toMatchObject({ code: '42501' })
  }
})

test('views get everything around a sid, anew when it changed', async () => {
  const { commits, sid, record, repository, metric } = await ward('view')
  const contexts = createViewContexts({ pool: database.pool })
  const numberOf = createFirmwareNumber({ pool: database.pool })
  const firmware = await numberOf('1.2.3')
  await record(future)
  const [before] = (await contexts.of([sid, 's1unknown' as Sid], [firmware, 0])).values()
  expect(before).toMatchObject({
    sid, association: 'a-view', patient: 'p-view', device: 'd-view', deviceIdentifier: 'device-view', demoMarks: [{ recordedAt: NOW, isDemo: false }],
    deviceVersions: [{ versionId: 1, recordedAt: NOW, firmware: '1.2.3' }]
  })
  expect(before?.metrics.get('tissue-po2')).toMatchObject({
    id: metric.id, identifier: 'device-view/tissue-po2', versions: [{ versionId: 1, recordedAt: NOW }, { versionId: 2, recordedAt: NOW, calibration: 'cal-1' }]
  })
  expect([...before!.calibrations.values()]).toEqual(['cal-1'])
  expect(before?.firmware.get(firmware)).toBe('1.2.3')
  await update(repository, { ...reader('d-view', 'device-view'), serialNumber: '9' })
  expect((await contexts.of([sid], [])).get(sid)).toBe(before)
  contexts.forget(commits.at(-1)!.devices)
  expect((await contexts.of([sid], [])).get(sid)?.deviceVersions).toHaveLength(2)
})

test('sids are found by patient, device and metric', async () => {
  const { sid, metric } = await ward('find')
  const place = { sid, association: 'a-find', patient: 'p-find', device: 'd-find', valid: { from: at('10:00:00') } }
  expect(await placesOfPatients(database.pool, ['p-find', 'p-none'])).toEqual([place])
  expect(await placesOfDevices(database.pool, ['d-find'])).toEqual([place])
  expect(await placesOfAssociations(database.pool, ['a-find', 'a-none'])).toEqual([place])
  expect(await allSids(database.pool)).toContain(sid)
  expect(await metricPlaces(database.pool, [metric.id!])).toEqual([{ id: metric.id, device: 'd-find', metric: 'tissue-po2' }])
})

test('the same firmware text has one number in every process', async () => {
  const long = 'x'.repeat(1000)
  const numbers = await Promise.all(Array.from({ length: 20 }, () => createFirmwareNumber({ pool: database.pool })('9.9.9')))
  expect(new Set(numbers).size).toBe(1)
  const numberOf = createFirmwareNumber({ pool: database.pool })
  expect(numberOf('')).toBe(0)
  expect(await numberOf('9.9.9')).toBe(numbers[0])
  expect(numberOf('9.9.9')).toBe(numbers[0])
  expect(await numberOf(long)).not.toBe(await numberOf(`${long}y`))
  expect(await numberOf('\0')).toBeGreaterThan(0)
})
