import { expect, test } from 'vitest'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { ROWS } from '../../../support/example-views.ts'
import { exampleMessage, MESSAGE_PATIENT } from '../../../support/example-message.ts'

interface Entry { fullUrl: string, request?: object, resource: { resourceType: string, id?: string, subject?: { reference: string }, focus?: { reference: string }[], identifier?: object[] } }
interface Message { type: string, identifier: { system: string, value: string }, entry: Entry[] }

function build (row: WindowRevision): Message { return exampleMessage(row) as unknown as Message }

test('the header comes first, then Patient, Device, Observations and their Provenance', () => {
  const { type, entry } = build(ROWS.sampled)
  expect(type).toBe('message')
  expect(entry.map(({ resource }) => resource.resourceType)).toEqual(['MessageHeader', 'Patient', 'Device', 'Observation', 'Observation', 'Observation', 'Provenance'])
  expect(entry[0]!.resource.focus!.map(({ reference }) => reference)).toEqual(entry.filter(({ resource }) => resource.resourceType === 'Observation').map(({ fullUrl }) => fullUrl))
  expect(entry.every(one => one.request === undefined)).toBe(true)
})

test('every reference is to an entry of the message, or by identifier', () => {
  const { entry } = build(ROWS.sampled)
  const references = [...JSON.stringify(entry).matchAll(/"reference":"([^"]+)"/g)].map(match => match[1])
  expect(references.length).toBeGreaterThan(5)
  const there = new Set(entry.map(({ fullUrl }) => fullUrl))
  expect(references.filter(reference => !there.has(reference!))).toEqual([])
  expect(new Set(entry.map(({ fullUrl }) => fullUrl)).size).toBe(entry.length)
})

test('the patient is named by the identifier of the receiver and by nothing else', () => {
  const { entry } = build(ROWS.sampled)
  expect(entry[1]!.resource).toEqual({ resourceType: 'Patient', identifier: [MESSAGE_PATIENT] })
  expect(new Set(entry.slice(3, 6).map(({ resource }) => resource.subject!.reference))).toEqual(new Set([entry[1]!.fullUrl]))
  expect(JSON.stringify(entry)).not.toMatch(/s1[0-7][0-9a-hjkmnp-tv-z]{26}|"(Patient|Device|DeviceMetric)\/|_history/)
})

test('the same revisions have the same id at every sending, another revision has another', () => {
  const idOf = ({ entry, identifier }: Message) => {
    expect(identifier).toEqual({ system: 'urn:ietf:rfc:3986', value: `urn:uuid:${entry[0]!.resource.id}` })
    return entry[0]!.resource.id
  }
  expect(idOf(build(ROWS.sampled))).toBe(idOf(build(ROWS.sampled)))
  expect(idOf(build({ ...ROWS.sampled, revision: 2, status: 'amended' }))).not.toBe(idOf(build(ROWS.sampled)))
})
