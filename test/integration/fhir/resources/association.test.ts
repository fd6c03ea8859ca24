import type { DeviceUseStatement } from '@medplum/fhirtypes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LinkageCommit } from '../../../../src/fhir/resources/linkage-commit.ts'
import type { ResourceStore } from '../../../../src/fhir/resources/resource-store.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { nextRelabelJobs, type RelabelJob } from '../../../../src/stores/linkage/relabel-job.ts'
import { sidsOfDevice } from '../../../../src/stores/linkage/association.ts'
import { association, create, patient, reader, testRepository, update } from '../../../support/linkage-fixtures.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

const at = (text: string) => epochMs(Date.parse(`2026-02-10T${text}Z`))
const iso = (text: string) => `2026-02-10T${text}Z`
const rule = { code: 'FHIR_BUSINESS_RULE' }
const conflict = { code: 'FHIR_CONFLICT' }

interface Ward { repository: ResourceStore, commits: LinkageCommit[], device: string }

async function ward (name: string): Promise<Ward> {
  const { repository, commits } = testRepository(database.pool)
  await create(repository, patient(`p-${name}-1`))
  await create(repository, patient(`p-${name}-2`))
  await create(repository, reader(`d-${name}`, `device-${name}`))
  commits.length = 0
  return { repository, commits, device: `d-${name}` }
}

async function openJobs (device: string): Promise<RelabelJob[]> {
  const { rows } = await database.pool.query<{ id: number }>(`select id from linkage.relabel_job where device = $1 and state = 'open'`, [device])
  return rows.length === 0 ? [] : nextRelabelJobs(database.pool, 10, device)
}

async function sids (device: string): Promise<{ sid: Sid, valid: unknown }[]> { return sidsOfDevice(database.pool, device) }

test('a new period draws a new sid, half-open', async () => {
  const { repository, commits, device } = await ward('new')
  await create(repository, association('a-new-1', device, 'p-new-1', iso('10:00:00'), iso('11:00:00')))
  await create(repository, association('a-new-2', device, 'p-new-1', iso('11:00:00')))
  const found = await sids(device)
  expect(found.map(({ valid }) => valid)).toEqual([{ from: at('10:00:00'), until: at('11:00:00') }, { from: at('11:00:00') }])
  expect(new Set(found.map(({ sid }) => sid)).size).toBe(2)
  expect(commits[1]?.gained).toEqual([{ device, telemetry: 'device-new', span: { from: at('11:00:00') } }])
  expect(commits[1]?.sids).toEqual([found[1]?.sid])
  const { rows } = await database.pool.query('select subj from linkage.sid_map where device = $1 group by subj', [device])
  expect(rows).toHaveLength(1)
})

test('an association does not have the id of its patient, from which identifiers of Observations would be made', async () => {
  const { repository, device } = await ward('same-id')
  await expect(create(repository, association('p-same-id-1', device, 'p-same-id-1', iso('10:00:00')))).rejects.toMatchObject({ code: 'FHIR_BUSINESS_RULE' })
})

test('of twenty writers whose periods overlap one succeeds', async () => {
  const { repository, device } = await ward('race')
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) =>
    create(repository, association(`a-race-${n}`, device, `p-race-${n % 2 + 1}`, iso(`10:${String(n).padStart(2, '0')}:00`)))))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject(conflict)
  expect(await sids(device)).toHaveLength(1)
})

test('twenty writers whose periods touch all succeed', async () => {
  const { repository, device } = await ward('touch')
  await Promise.all(Array.from({ length: 20 }, (_, n) =>
    create(repository, association(`a-touch-${n}`, device, 'p-touch-1', iso(`10:${String(n).padStart(2, '0')}:00`), iso(`10:${String(n + 1).padStart(2, '0')}:00`)))))
  expect(await sids(device)).toHaveLength(20)
})

test('overlap is refused by the database even when the writers do not wait for each other', async () => {
  const { repository, device } = await ward('raw')
  await create(repository, association('a-raw-1', device, 'p-raw-1', iso('10:00:00')))
  await expect(database.owner.query(
    `insert into linkage.sid_map (sid, device, subj, association, valid)
     select 's1000000000000000000000000000', device, subj, 'a-raw-2', valid from linkage.sid_map where device = $1`, [device])).rejects.toMatchObject({ code: '23P01' })
  await expect(database.owner.query(`update linkage.sid_map set sid = 's1000000000000000000000000001' where device = $1`, [device])).rejects.toMatchObject({ code: '23514' })
})

test('closing records what becomes of the rows behind the end', async () => {
  const { repository, commits, device } = await ward('close')
  await create(repository, association('a-close', device, 'p-close-1', iso('10:00:00')))
  await update(repository, { ...association('a-close', device, 'p-close-1', iso('10:00:00'), iso('11:00:00')), status: 'completed' })
  const [found] = await sids(device)
  expect(found?.valid).toEqual({ from: at('10:00:00'), until: at('11:00:00') })
  const jobs = await openJobs(device)
  expect(jobs).toMatchObject([{ device, sid: found?.sid, span: { from: at('11:00:00') } }])
  expect(jobs[0]?.target).toBeUndefined()
  expect(commits.at(-1)?.relabelJobs).toEqual([jobs[0]?.id])
})

test('a device given on inside one transaction moves its rows to the next sid, whatever the order of the writes', async () => {
  const { repository, device } = await ward('give')
  await create(repository, association('a-give-1', device, 'p-give-1', iso('10:00:00')))
  await repository.transaction(async transaction => {
    await transaction.create(association('a-give-2', device, 'p-give-2', iso('11:00:00'), iso('12:00:00')))
    await transaction.update(association('a-give-1', device, 'p-give-1', iso('10:00:00'), iso('11:00:00')), undefined)
  })
  const [first, second] = await sids(device)
  const { rows } = await database.pool.query<{ sid: string, target: string | null, span: string }>('select sid, target, span::text from linkage.relabel_job where device = $1 order by id', [device])
  expect(rows).toEqual([
    { sid: first?.sid, target: second?.sid, span: '["2026-02-10 11:00:00+00","2026-02-10 12:00:00+00")' },
    { sid: first?.sid, target: null, span: '["2026-02-10 12:00:00+00",)' }
  ])
})

test('a period may be extended and opened again where it is free', async () => {
  const { repository, device } = await ward('reopen')
  const first = association('a-reopen', device, 'p-reopen-1', iso('10:00:00'), iso('11:00:00'))
  await create(repository, first)
  await update(repository, { ...first, timingPeriod: { start: iso('09:00:00'), end: iso('12:00:00') } })
  expect((await sids(device))[0]?.valid).toEqual({ from: at('09:00:00'), until: at('12:00:00') })
  await update(repository, { ...first, timingPeriod: { start: iso('09:00:00') } })
  // Windows that were cut at the old bounds are written again; nothing moves.
  const [holder] = await sids(device)
  const { rows } = await database.pool.query<{ sid: string, target: string, span: string }>('select sid, target, span::text from linkage.relabel_job where device = $1 order by id', [device])
  expect(rows.every(({ sid, target }) => sid === holder!.sid && target === sid)).toBe(true)
  expect(rows.map(({ span }) => span)).toEqual([
    '["2026-02-10 09:00:00+00","2026-02-10 10:00:00+00")', '["2026-02-10 11:00:00+00","2026-02-10 12:00:00+00")', '["2026-02-10 12:00:00+00",)'
  ])
  await update(repository, { ...first, timingPeriod: { start: iso('09:00:00'), end: iso('13:00:00') } })
  await create(repository, association('a-reopen-2', device, 'p-reopen-2', iso('13:00:00')))
  await expect(update(repository, { ...first, timingPeriod: { start: iso('09:00:00') } })).rejects.toMatchObject(conflict)
})

test('what was entered in error holds nowhere and stays so', async () => {
  const { repository, device } = await ward('error')
  const wrong = association('a-error', device, 'p-error-1', iso('10:00:00'))
  await create(repository, wrong)
  await update(repository, { ...wrong, status: 'entered-in-error' })
  expect((await sids(device))[0]?.valid).toBeUndefined()
  expect(await openJobs(device)).toMatchObject([{ span: { from: at('10:00:00') } }])
  await expect(update(repository, wrong)).rejects.toMatchObject(rule)
  await create(repository, association('a-error-2', device, 'p-error-2', iso('10:00:00')))
})

test('subject and device never change', async () => {
  const { repository, device } = await ward('fixed')
  await create(repository, reader('d-fixed-2', 'device-fixed-2'))
  await create(repository, association('a-fixed', device, 'p-fixed-1', iso('10:00:00')))
  await expect(update(repository, association('a-fixed', device, 'p-fixed-2', iso('10:00:00')))).rejects.toMatchObject(rule)
  await expect(update(repository, association('a-fixed', 'd-fixed-2', 'p-fixed-1', iso('10:00:00')))).rejects.toMatchObject(rule)
})

test('a period needs a start and, once over, an end, both to the second', async () => {
  const { repository, device } = await ward('period')
  const good = association('a-period', device, 'p-period-1', iso('10:00:00'))
  const { timingPeriod: _, ...without } = good
  for (const bad of [
    without,
    { ...good, timingPeriod: { start: '2026-02-10' } },
    { ...good, status: 'completed' },
    { ...good, status: 'stopped' },
    { ...good, status: 'intended' },
    { ...good, timingPeriod: { start: iso('10:00:00'), end: iso('10:00:00') } }
  ]) await expect(create(repository, bad as DeviceUseStatement)).rejects.toMatchObject(rule)
  expect(await sids(device)).toEqual([])
})

test('what was entered in error and what is right may begin at the same time', async () => {
  const { repository, commits, device } = await ward('same-start')
  await create(repository, association('a-same-1', device, 'p-same-start-1', iso('10:00:00')))
  await update(repository, { ...association('a-same-1', device, 'p-same-start-1', iso('10:00:00')), status: 'entered-in-error' })
  await create(repository, association('a-same-2', device, 'p-same-start-2', iso('10:00:00')))
  expect(commits.at(-1)?.gained.map(({ span }) => span)).toEqual([{ from: at('10:00:00') }])
})
