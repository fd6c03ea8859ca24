import type { Observation } from '@medplum/fhirtypes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ObservationQuery } from '../../../../src/fhir/views/observation-query.ts'
import { type Visibility, VISIBLE_ALL } from '../../../../src/fhir/words/search-words.ts'
import { CANONICAL, type IdentifierKind, identifierSystem } from '../../../../src/model/identifier.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { MINUTE, queryOf, T0, testWard, type Ward, windowOf } from '../../../support/views.ts'

const METRICS = ['tissue-po2', 'spo2-samples', 'signal-quality-index', 'panel', 'spo2', 'battery-voltage']
let ward: Ward
let anna: Sid
let bert: Sid

function all (sid: Sid, minute: number): WindowRevision[] { return METRICS.map(metric => windowOf(ward.mappings, sid, minute, { metric })) }

beforeAll(async () => {
  ward = await testWard()
  anna = await ward.admit('anna')
  bert = await ward.admit('bert')
  for (let minute = 0; minute < 10; minute++) await ward.commit([...all(anna, minute), ...all(bert, minute)])
})
afterAll(async () => { await ward.drop() })

async function search (wish: Partial<ObservationQuery>, visibleTo: Visibility = VISIBLE_ALL) {
  return ward.observations.search(queryOf(wish), visibleTo)
}
async function found (wish: Partial<ObservationQuery>, visibleTo: Visibility = VISIBLE_ALL): Promise<Observation[]> {
  return [...(await search({ count: 1000, ...wish }, visibleTo)).resources]
}
const codesOf = (resources: Observation[]) => [...new Set(resources.map(resource => resource.code.coding![0]!.code!))].sort()
const ofAnna = { subjects: [{ type: 'Patient', id: 'pat-anna' }] } as const
const minute = (from: number, until: number = from + 1) => ({ from: epochMs(T0 + from * MINUTE), until: epochMs(T0 + until * MINUTE) })

// Per minute: tissue-po2 with mean and rate, spo2 samples with mean and rate, quality, panel, spo2; battery is about the device.
describe('parameters', () => {
  test('patient finds that patient alone', async () => {
    const resources = await found(ofAnna)
    expect(resources).toHaveLength(90)
    expect(new Set(resources.map(resource => resource.subject!.reference))).toEqual(new Set(['Patient/pat-anna']))
  })

  test('subject may be the device, which is what battery is about', async () => {
    const resources = await found({ subjects: [{ type: 'Device', id: 'dev-anna' }] })
    expect(codesOf(resources)).toEqual(['battery-voltage'])
    expect(resources[0]!.subject!.reference).toBe('Device/dev-anna/_history/1')
  })

  test('device finds what names exactly that Device or DeviceMetric', async () => {
    const metric = (await found({ ...ofAnna, codes: [[{ code: 'tissue-po2' }]] }))[0]!.device!.reference!
    expect(metric).toMatch(/^DeviceMetric\//)
    expect(codesOf(await found({ devices: [{ type: 'DeviceMetric', id: metric.split('/')[1]! }] }))).toEqual(['tissue-po2', 'tissue-po2-mean', 'tissue-po2-rate'])
    expect(codesOf(await found({ devices: [{ type: 'Device', id: 'dev-anna' }] }))).toContain('tissue-oxygen-panel')
    expect(await found({ devices: [{ type: 'Device', id: 'dev-nobody' }] })).toEqual([])
  })

  test('code is found with its system, and not with another', async () => {
    expect(await found({ ...ofAnna, codes: [[{ system: 'http://loinc.org', code: '2708-6' }]] })).toHaveLength(10)
    expect(await found({ ...ofAnna, codes: [[{ system: 'http://loinc.org', code: 'tissue-po2' }]] })).toEqual([])
    expect(await found({ ...ofAnna, codes: [[{ system: `${CANONICAL}/CodeSystem/tissue-oxygen-metric`, code: 'tissue-po2' }]] })).toHaveLength(10)
  })

  test('codes of two parameters must hold together', async () => {
    expect(await found({ ...ofAnna, codes: [[{ code: 'tissue-po2' }], [{ code: 'spo2-samples' }]] })).toEqual([])
    expect(await found({ ...ofAnna, codes: [[{ code: 'tissue-po2' }, { code: 'tissue-po2-mean' }]] })).toHaveLength(20)
  })

  test('category tells vital signs, telemetry and derived values apart', async () => {
    expect(codesOf(await found({ ...ofAnna, categories: [[{ code: 'vital-signs' }]] }))).toEqual(['59408-5'])
    expect(await found({ ...ofAnna, categories: [[{ code: 'derived' }]] })).toHaveLength(40)
  })

  test('date compares whole periods by its prefix', async () => {
    const count = async (prefix: ObservationQuery['dates'][number][number]['prefix'], from: number, until?: number) =>
      (await found({ ...ofAnna, codes: [[{ code: 'tissue-po2' }]], dates: [[{ prefix, ...minute(from, until) }]] })).length
    expect(await count('ge', 5)).toBe(5)
    expect(await count('gt', 5)).toBe(5)
    expect(await count('sa', 5)).toBe(4)
    expect(await count('lt', 5)).toBe(5)
    expect(await count('le', 5)).toBe(5)
    expect(await count('eb', 5)).toBe(4)
    expect(await count('eq', 2, 6)).toBe(3)
    expect(await count('ne', 2, 6)).toBe(7)
    expect(await count('ap', 2, 4)).toBe(3)
  })

  test('two dates hold together', async () => {
    const dates = [[{ prefix: 'ge' as const, ...minute(2) }], [{ prefix: 'lt' as const, ...minute(4) }]]
    expect((await found({ ...ofAnna, codes: [[{ code: 'panel' }, { code: 'tissue-oxygen-panel' }]], dates })).map(resource => resource.effectiveDateTime)).toEqual(['2026-02-11T08:02:59.000Z', '2026-02-11T08:03:59.000Z'])
  })

  test('_id and identifier find one Observation, identifiers of unknown associations none', async () => {
    const [one] = await found({ ...ofAnna, codes: [[{ code: 'tissue-po2-mean' }]] })
    const identifier = one!.identifier![0]!
    expect(await found({ ids: [one!.id!] })).toEqual([one])
    expect(await found({ identifiers: [[{ system: identifier.system!, code: identifier.value! }]] })).toEqual([one])
    expect(await found({ identifiers: [[{ code: identifier.value! }]] })).toEqual([one])
    expect(await found({ identifiers: [[{ system: 'urn:other', code: identifier.value! }]] })).toEqual([])
    expect(await found({ identifiers: [[{ code: identifier.value!.replace('assoc-anna', 'assoc-none') }]] })).toEqual([])
    expect(await found({ ids: [one!.id!], subjects: [{ type: 'Patient', id: 'pat-bert' }] })).toEqual([])
  })

  test('an identifier without a value finds every Observation of its system, beside one with a value too', async () => {
    const resources = await found(ofAnna)
    const inSystem = (kind: IdentifierKind) => resources.filter(resource => resource.identifier![0]!.system === identifierSystem(kind))
    for (const [kind, count] of [['telemetry-window', 30], ['telemetry-panel', 10], ['derived-window', 40]] as const) {
      expect(inSystem(kind)).toHaveLength(count)
      expect(await found({ ...ofAnna, identifiers: [[{ system: identifierSystem(kind) }]] })).toEqual(inSystem(kind))
    }
    const { system, value } = inSystem('derived-window')[0]!.identifier![0]!
    const derived = { system: system!, code: value! }
    expect(await found({ ...ofAnna, identifiers: [[{ system: identifierSystem('telemetry-window') }, derived]] })).toHaveLength(31)
    expect(await found({ identifiers: [[{ system: system! }], [derived]] })).toEqual([inSystem('derived-window')[0]])
    expect(await found({ identifiers: [[{ system: 'urn:other' }]] })).toEqual([])
    expect(await found({ identifiers: [[{ system: 'urn:other' }, derived]] })).toEqual([inSystem('derived-window')[0]])
  })

  test('derived-from finds the derived values of a window, of its version when one is named', async () => {
    const [raw] = await found({ ...ofAnna, codes: [[{ code: 'tissue-po2' }]] })
    expect(codesOf(await found({ derivedFrom: [[{ id: raw!.id! }]] }))).toEqual(['tissue-po2-mean', 'tissue-po2-rate'])
    expect(await found({ derivedFrom: [[{ id: raw!.id!, versionId: '1' }]] })).toHaveLength(2)
    expect(await found({ derivedFrom: [[{ id: raw!.id!, versionId: '2' }]] })).toEqual([])
  })

  test('_lastUpdated compares the time of issue', async () => {
    const lastUpdated = [[{ prefix: 'gt' as const, from: epochMs(T0 + 5 * MINUTE), until: epochMs(T0 + 5 * MINUTE + 30_001) }]]
    const resources = await found({ ...ofAnna, codes: [[{ code: 'tissue-po2' }]], lastUpdated })
    expect(resources.map(resource => resource.meta!.lastUpdated)).toEqual(expect.arrayContaining(['2026-02-11T08:06:30.000Z']))
    expect(resources).toHaveLength(5)
  })

  test('status no window has finds nothing', async () => {
    expect(await found({ ...ofAnna, statuses: ['amended'] })).toEqual([])
    expect(await found({ ...ofAnna, statuses: ['final'] })).toHaveLength(90)
    expect(await found({ ...ofAnna, statuses: ['preliminary'] })).toEqual([])
  })
})

describe('what the caller may see', () => {
  test('a patient sees the own windows alone, those about the device included', async () => {
    const resources = await found({}, [{ patientId: 'pat-anna', filters: [] }])
    expect(resources).toHaveLength(100)
    expect(JSON.stringify(resources)).not.toContain('bert')
    expect(await found({ subjects: [{ type: 'Patient', id: 'pat-bert' }] }, [{ patientId: 'pat-anna', filters: [] }])).toEqual([])
  })

  test('a filter of a scope narrows its own term', async () => {
    const visibleTo: Visibility = [
      { patientId: 'pat-anna', filters: [{ parameter: 'category', anyOf: [{ code: 'vital-signs' }] }] },
      { patientId: 'pat-bert', filters: [{ parameter: 'code', anyOf: [{ code: 'tissue-po2' }] }] }
    ]
    expect(codesOf(await found({}, visibleTo))).toEqual(['59408-5', 'tissue-po2'])
    expect(await found({ total: 'accurate' }, visibleTo)).toHaveLength(20)
  })
})

describe('order and pages', () => {
  const ORDERS: ObservationQuery['sort'][] = [
    [{ by: 'date', descending: false }], [{ by: 'date', descending: true }],
    [{ by: '_lastUpdated', descending: false }], [{ by: '_lastUpdated', descending: true }],
    [{ by: '_lastUpdated', descending: true }, { by: 'date', descending: false }]
  ]

  async function walk (wish: Partial<ObservationQuery>, between: (page: number) => Promise<void> = async () => {}): Promise<Observation[]> {
    const seen: Observation[] = []
    let after: ObservationQuery['after']
    for (let page = 0; ; page++) {
      const { resources, next } = await search({ ...wish, ...(after === undefined ? {} : { after }) })
      seen.push(...resources)
      if (next === undefined) return seen
      after = next
      await between(page)
    }
  }

  for (const sort of ORDERS) {
    const name = sort.map(({ by, descending }) => `${descending ? '-' : ''}${by}`).join(',')
    test(`pages of any size hold the same entries in the same order (${name})`, async () => {
      const whole = (await found({ ...ofAnna, sort })).map(resource => resource.id)
      expect(new Set(whole).size).toBe(90)
      for (const count of [1, 7, 89, 90]) expect((await walk({ ...ofAnna, sort, count })).map(resource => resource.id)).toEqual(whole)
    })
  }

  test('dates ascend over all kinds of all series', async () => {
    const begins = (await found({ sort: [{ by: 'date', descending: false }] })).map(resource => Date.parse(resource.effectiveDateTime ?? resource.effectivePeriod!.start!))
    expect(begins).toEqual([...begins].sort((a, b) => a - b))
    expect(begins).toHaveLength(200)
  })

  test('windows that close while pages are turned are neither seen nor in the way', async () => {
    const carl = await ward.admit('carl')
    const asOf = epochMs(T0 + 20 * MINUTE)
    for (let number = 0; number < 10; number++) await ward.commit(all(carl, number))
    const ofCarl = { subjects: [{ type: 'Patient', id: 'pat-carl' }], asOf, count: 13 } as const
    const before = (await found({ ...ofCarl, count: 1000 })).map(resource => resource.id)
    const seen = await walk(ofCarl, async page => {
      await ward.commit([
        ...all(carl, 100 + page),
        windowOf(ward.mappings, carl, page, { revision: 2, status: 'amended', issued: epochMs(asOf + 1 + page) })
      ])
    })
    expect(seen.map(resource => resource.id)).toEqual(before)
    expect(new Set(seen.map(resource => resource.status))).toEqual(new Set(['final']))
  })

  test('a window that is being written again while the first page is read is found once, as it was', async () => {
    const fred = await ward.admit('fred')
    const written = await ward.writes.completeThrough(0)
    const rows = [0, 1, 2, 3, 4, 5].map(number => windowOf(ward.mappings, fred, number, { metric: 'signal-quality-index', issued: epochMs(written - 100 + number) }))
    await ward.commit(rows)
    const { asOf: _, ...first } = queryOf({ subjects: [{ type: 'Patient', id: 'pat-fred' }], sort: [{ by: '_lastUpdated', descending: true }], count: 3 })
    const whole = (await ward.observations.search({ ...first, count: 1000 }, VISIBLE_ALL)).resources
    const write = ward.writes.begin()
    const page = await ward.observations.search(first, VISIBLE_ALL)
    await ward.commit([{ ...rows[1]!, revision: 2, status: 'amended', issued: write.time }])
    write.end()
    const rest = await ward.observations.search({ ...first, count: 1000, asOf: page.asOf, after: page.next! }, VISIBLE_ALL)
    expect([...page.resources, ...rest.resources]).toEqual(whole)
    const again = await ward.observations.search({ ...first, count: 1000 }, VISIBLE_ALL)
    expect(again.resources.slice(0, 1).map(resource => resource.meta!.versionId)).toEqual(['2'])
    const lastUpdated = [[{ prefix: 'gt' as const, from: page.asOf, until: epochMs(page.asOf + 1) }]]
    expect((await ward.observations.search({ ...first, lastUpdated }, VISIBLE_ALL)).resources).toEqual(again.resources.filter(resource => resource.meta!.versionId === '2'))
  })

  test('a total counts what the caller may see, also without entries', async () => {
    const page = await search({ count: 0, total: 'accurate' }, [{ patientId: 'pat-anna', filters: [] }])
    expect(page).toMatchObject({ total: 100, texts: [] })
    expect(page.next).toBeUndefined()
    expect((await search({ ...ofAnna, count: 5, total: 'accurate' })).total).toBe(90)
  })
})

test('a panel names the SpO2 of its window, which is found under that id', async () => {
  const [panel] = await found({ ...ofAnna, codes: [[{ code: 'tissue-oxygen-panel' }]] })
  const id = panel!.hasMember![0]!.reference!.split('/')[1]!
  expect((await found({ ids: [id] }))[0]).toMatchObject({ valueQuantity: { value: 97.1 }, effectiveDateTime: panel!.effectiveDateTime })
})

test('a window of one revision and one of two in another form are both found, what ended as entered-in-error', async () => {
  const dora = await ward.admit('dora')
  const first = windowOf(ward.mappings, dora, 0)
  const samples = [0, 1, 2].map(index => ({ takenAt: epochMs(T0 + index * 10), sequence: 0, value: 40 + index }))
  const second = windowOf(ward.mappings, dora, 0, { revision: 2, status: 'amended', issued: epochMs(T0 + 300_000), form: { form: 'singles', samples } })
  await ward.commit([first])
  await ward.commit([second])
  const resources = await found({ subjects: [{ type: 'Patient', id: 'pat-dora' }] })
  const byStatus = (status: string) => resources.filter(resource => resource.status === status)
  expect(byStatus('amended').map(resource => resource.valueQuantity!.value).sort()).toEqual([1, 40, 40.5, 41, 42])
  expect(byStatus('entered-in-error').map(resource => resource.id)).toEqual([viewsOf(first)[0]!.id])
  expect(await found({ subjects: [{ type: 'Patient', id: 'pat-dora' }], statuses: ['entered-in-error'] })).toHaveLength(1)
})

test('windows that were all written again are found with their histories, in one question', async () => {
  const emil = await ward.admit('emil')
  const rows = Array.from({ length: 30 }, (_, number) => all(emil, number)).flat()
  await ward.commit(rows)
  await ward.commit(rows.map(row => ({ ...row, revision: 2, status: 'corrected' as const, issued: epochMs(row.issued + 1_000) })))
  const resources = await found({ subjects: [{ type: 'Patient', id: 'pat-emil' }] })
  expect(resources).toHaveLength(270)
  expect(new Set(resources.map(resource => `${resource.status} ${resource.meta!.versionId}`))).toEqual(new Set(['corrected 2']))
  expect(resources.filter(resource => resource.hasMember !== undefined)).toHaveLength(30)
})
