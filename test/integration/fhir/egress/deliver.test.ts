import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DestinationSetting } from '../../../../src/config/schema.ts'
import { type DeliveryParts, deliverRound, type RoundResult } from '../../../../src/fhir/egress/deliver.ts'
import { createDestination, createEgress, deliveryParts, type EgressParts } from '../../../../src/fhir/egress/egress.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { type FhirReceiver, startReceiver } from '../../../support/fhir-receiver.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'
import { MINUTE, T0, testWard, type Ward, windowOf } from '../../../support/views.ts'

const SYSTEM = 'urn:oid:2.16.840.1.113883.19.5'
const METRICS = ['tissue-po2', 'panel', 'spo2', 'battery-voltage']
const BACK_OFF = { retryMinMs: 1, retryMaxMs: 5, idleMs: 5 }

let ward: Ward
let receiver: FhirReceiver
let anna: Sid
let events: string[]

beforeEach(async () => {
  ward = await testWard()
  receiver = await startReceiver()
  anna = await ward.admit('anna', { mrn: 'MRN-1' })
  receiver.addPatient(SYSTEM, 'MRN-1')
  events = []
})
afterEach(async () => {
  await receiver.close()
  await ward.drop()
})

function egressParts (): EgressParts {
  return {
    ledger: ward.series.ledger, loader: ward.observations.loader, contexts: ward.contexts, tools: ward.tools,
    linkagePool: ward.linkage.pool, deliveryPool: ward.linkage.poolOf('oxbow_delivery'), options: BACK_OFF, now: () => epochMs(Date.now()),
    topicWriter: () => { throw new Error('no destination here is a topic') },
    events: { delivered: (outcome, count) => { events.push(`${outcome} ${count}`) }, raise: alarm => { events.push(alarm) }, clear: alarm => { events.push(`clear ${alarm}`) } }
  }
}

function parts (wish: Partial<DestinationSetting> = {}, options: DeliveryParts['options'] = {}): DeliveryParts {
  const all = egressParts()
  const made = deliveryParts(createDestination({ name: 'ehr', kind: 'fhir', to: receiver.url, patientSystem: SYSTEM, ...wish }, all.topicWriter), all)
  return { ...made, options: { ...BACK_OFF, ...options } }
}

async function deliverAll (delivery: DeliveryParts, roundsMax = 200): Promise<RoundResult[]> {
  const results: RoundResult[] = []
  for (let round = 0; round < roundsMax; round++) {
    const result = await deliverRound(delivery, new AbortController().signal)
    results.push(result)
    if (result.result === 'idle') return results
  }
  throw new Error('the destination never had everything')
}

function all (sid: Sid, minute: number): WindowRevision[] { return METRICS.map(metric => windowOf(ward.mappings, sid, minute, { metric })) }
function observations () { return receiver.resources('Observation') }
async function table (name: string): Promise<Record<string, unknown>[]> { return (await ward.linkage.owner.query(`select * from delivery.${name}`)).rows as Record<string, unknown>[] }

test('every Observation arrives once, with its Provenance, and the patient of the receiver', async () => {
  for (let minute = 0; minute < 3; minute++) await ward.commit(all(anna, minute))
  await deliverAll(parts())
  expect(observations()).toHaveLength(18)
  expect(receiver.resources('Provenance')).toHaveLength(3)
  expect(JSON.stringify(receiver.resources('Provenance'))).not.toContain('dangling')
  expect(new Set(observations().map(one => one.identifier![0]!.value)).size).toBe(18)
  expect(await table('cursor')).toEqual([{ destination: 'ehr', writer: 0, number: 12 }])
  expect(await table('sending')).toEqual([])
  expect((await table('delivered')).every(row => /^\d+$/.test(String(row['receiver_id'])))).toBe(true)
})

test('lost answers, cut connections, server errors and throttling: each resource once, at its newest revision', async () => {
  const bert = await ward.admit('bert', { mrn: 'MRN-2' })
  receiver.addPatient(SYSTEM, 'MRN-2')
  for (let minute = 0; minute < 4; minute++) await ward.commit([...all(anna, minute), ...all(bert, minute)])
  await ward.commit([0, 2].map(minute => windowOf(ward.mappings, anna, minute, { revision: 2, status: 'amended', issued: epochMs(T0 + 60 * MINUTE) })))
  const faults = ['lost', 'ok', 'cut', 'lost', 500, 'ok', 'lost', 429, 'lost', 503, 'ok', 'lost'] as const
  receiver.onTransaction = place => faults[place % faults.length]!
  // Each round has a delivery of its own: nothing but the store survives between them, as after a crash.
  let rounds = 0
  for (; rounds < 100; rounds++) {
    const result = await deliverRound(parts({ bundleEntriesMax: 8 }, { rowsMax: 7 }), new AbortController().signal)
    if (result.result === 'idle') break
  }
  expect(rounds).toBeGreaterThan(5)
  expect(observations()).toHaveLength(48)
  expect(new Set(observations().map(one => one.identifier![0]!.value)).size).toBe(48)
  const amended = observations().filter(one => one['status'] === 'amended')
  expect(amended).toHaveLength(6)
  expect(amended.every(one => one['issued'] === '2026-02-11T09:00:00.000Z')).toBe(true)
  // One for each delivered revision with derived values: four minutes of two patients, and two amendments.
  expect(receiver.resources('Provenance')).toHaveLength(10)
  expect(receiver.sizes.every(size => size <= 8)).toBe(true)
})

test('a backlog that holds a window and its amendment is settled at once, at the newer revision', async () => {
  await ward.commit(all(anna, 0))
  await ward.commit([windowOf(ward.mappings, anna, 0, { revision: 2, status: 'amended', issued: epochMs(T0 + 60 * MINUTE) })])
  expect(await deliverAll(parts())).toEqual([{ result: 'settled' }, { result: 'idle' }])
  expect(observations()).toHaveLength(6)
  expect(observations().filter(one => one['status'] === 'amended')).toHaveLength(3)
  const delivered = await table('delivered')
  expect(delivered.filter(row => row['revision'] === 2)).toHaveLength(3)
  expect(delivered.every(row => row['receiver_id'] !== null)).toBe(true)
})

test('a restart between the send and its settling sends nothing twice', async () => {
  await ward.commit(all(anna, 0))
  const first = parts()
  const broken: DeliveryParts = { ...first, store: { ...first.store, settle: () => Promise.reject(new Error('killed')) } }
  await expect(deliverRound(broken, new AbortController().signal)).rejects.toThrow('killed')
  expect(observations()).toHaveLength(6)
  await ward.commit(all(anna, 1))
  await deliverAll(parts())
  expect(observations()).toHaveLength(12)
  expect(receiver.resources('Provenance')).toHaveLength(2)
  expect(receiver.sizes).toHaveLength(2)
})

test('an older revision that comes later, from another writer, changes nothing', async () => {
  const first = windowOf(ward.mappings, anna, 0)
  await ward.commit([first], 1)
  await ward.commit([{ ...first, revision: 2, status: 'amended', issued: epochMs(first.issued + 1) }], 0)
  await deliverAll(parts())
  expect(observations().map(one => one['status'])).toEqual(['amended', 'amended', 'amended'])
  expect(await table('cursor')).toHaveLength(2)
})

test('a withdrawn window becomes entered-in-error at the receiver', async () => {
  const { statistics: _statistics, ...first } = windowOf(ward.mappings, anna, 0)
  await ward.commit([windowOf(ward.mappings, anna, 0)])
  await deliverAll(parts())
  await ward.commit([{ ...first, revision: 2, status: 'entered-in-error', form: { form: 'empty' }, issued: epochMs(first.issued + 1) }])
  await deliverAll(parts())
  expect(observations().map(one => one['status'])).toEqual(Array(3).fill('entered-in-error'))
  expect(JSON.stringify(observations())).not.toContain('valueSampledData')
})

test('a patient whom the receiver knows twice is a dead letter, and the others go on', async () => {
  const bert = await ward.admit('bert', { mrn: 'MRN-2' })
  receiver.addPatient(SYSTEM, 'MRN-2')
  receiver.addPatient(SYSTEM, 'MRN-2')
  await ward.commit([windowOf(ward.mappings, bert, 0), windowOf(ward.mappings, anna, 0)])
  await ward.commit([windowOf(ward.mappings, bert, 1), windowOf(ward.mappings, anna, 1)])
  await deliverAll(parts())
  expect(observations()).toHaveLength(6)
  expect((await table('dead_letter')).map(row => [row['number'], row['reason'], row['http_status']])).toEqual([[1, 'patient-ambiguous multiple-matches', 412], [3, 'patient-ambiguous multiple-matches', 412]])
  expect(JSON.stringify(await table('dead_letter'))).not.toContain('a name')
  expect(events).toContain('egress-dead-letter')
})

test('a patient without an identifier of the system is a dead letter; a sid without an association is skipped', async () => {
  const carl = await ward.admit('carl')
  await ward.commit([windowOf(ward.mappings, carl, 0), windowOf(ward.mappings, anna, 0)])
  const whole = parts()
  const withoutAnna: DeliveryParts = { ...whole, contexts: async (sids, firmware) => new Map([...await whole.contexts(sids, firmware)].filter(([sid]) => sid !== anna)) }
  await deliverAll(withoutAnna)
  expect(observations()).toEqual([])
  expect(await table('dead_letter')).toMatchObject([{ number: 1, reason: 'patient-identifier-missing' }])
  expect(await table('skipped')).toMatchObject([{ number: 2, reason: 'association-gone' }])
  expect(await table('cursor')).toMatchObject([{ number: 2 }])
})

test('a window served reading by reading goes in several Bundles, its derived values in the last', async () => {
  const samples = Array.from({ length: 30 }, (_, index) => ({ takenAt: epochMs(T0 + index * 100), sequence: index % 2, value: 40 }))
  await ward.commit([windowOf(ward.mappings, anna, 0, { form: { form: 'singles', samples } })])
  receiver.onTransaction = place => place % 2 === 0 ? 'lost' : 'ok'
  await deliverAll(parts({ bundleEntriesMax: 10 }))
  expect(observations()).toHaveLength(32)
  expect(receiver.sizes).toEqual([10, 10, 10, 3])
  expect(receiver.resources('Provenance')).toHaveLength(1)
})

test('two destinations have a cursor each, and a token is read at every request', async () => {
  const folder = temporaryFolder('egress')
  try {
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'one\n')
    await ward.commit(all(anna, 0))
    await deliverAll(parts({ tokenFile }))
    await writeFile(tokenFile, 'two\n')
    await ward.commit(all(anna, 1))
    await deliverAll(parts({ tokenFile }))
    expect(receiver.authorizations).toEqual(new Set(['Bearer one', 'Bearer two']))
    await deliverAll(parts({ name: 'files', kind: 'directory', to: join(folder, 'out') }))
    expect((await table('cursor')).map(row => row['destination']).sort()).toEqual(['ehr', 'files'])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a folder holds each Bundle and its Observations as lines, whole files only, the same after a repeat', async () => {
  const folder = temporaryFolder('egress')
  try {
    await ward.commit(all(anna, 0))
    const setting = { name: 'files', kind: 'directory', to: folder } as const
    const first = parts(setting)
    await expect(deliverRound({ ...first, store: { ...first.store, settle: () => Promise.reject(new Error('killed')) } }, new AbortController().signal)).rejects.toThrow('killed')
    const before = await readFile(join(folder, 'bundles', '0-000000000001-0.json'), 'utf8')
    await deliverAll(parts(setting))
    expect(await readdir(join(folder, 'bundles'))).toEqual(['0-000000000001-0.json'])
    expect(await readFile(join(folder, 'bundles', '0-000000000001-0.json'), 'utf8')).toBe(before)
    const lines = (await readFile(join(folder, 'observations', '0-000000000001-0.ndjson'), 'utf8')).trimEnd().split('\n')
    expect(lines.map(line => (JSON.parse(line) as { resourceType: string }).resourceType)).toEqual(Array(6).fill('Observation'))
    const [one] = lines
    const id = (JSON.parse(one!) as { id: string }).id
    expect((await ward.observations.readText(id, undefined, [{ filters: [] }]))!.text).toBe(one)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('the running loop delivers what is written while it runs, tells of a failing destination, and stops', async () => {
  receiver.onTransaction = place => place < 2 ? 503 : 'ok'
  const egress = createEgress([{ name: 'ehr', kind: 'fhir', to: receiver.url, patientSystem: SYSTEM }], egressParts())
  await ward.commit(all(anna, 0))
  egress.wake()
  await expect.poll(() => observations().length).toBe(6)
  await ward.commit(all(anna, 1))
  egress.wake()
  await expect.poll(() => observations().length).toBe(12)
  await expect.poll(async () => (await table('cursor'))[0]?.['number']).toBe(8)
  await egress.close()
  expect(events).toContain('egress-failing')
  expect(events).toContain('clear egress-failing')
})

test('what was refused for good is not sent again when something else fails behind it', async () => {
  const bert = await ward.admit('bert', { mrn: 'MRN-2' })
  await ward.commit([windowOf(ward.mappings, bert, 0), windowOf(ward.mappings, anna, 0)])
  const places: number[] = []
  receiver.onTransaction = place => {
    places.push(place)
    return place === 1 ? 500 : 'ok'
  }
  expect(await deliverAll(parts())).toEqual([{ result: 'failed', reason: 'HTTP_500', isFurther: true }, { result: 'settled' }, { result: 'idle' }])
  expect(places).toEqual([0, 1, 2])
  expect((await table('dead_letter')).map(row => [row['number'], row['http_status']])).toEqual([[1, 412]])
  expect(events.filter(event => event === 'dead-letter 1')).toHaveLength(1)
  expect(observations()).toHaveLength(3)
})
