/** Numbers of devices -> patients who wear them, made through the FHIR API; and under which number the series store holds each. */

import { Client } from 'pg'
import { identifierSystem } from '../../src/model/identifier.ts'
import { deviceName } from './load/plan.ts'
import type { Server } from './server.ts'

// Few enough that Bundles side by side lock only what they name.
const ENTRIES_PER_BUNDLE = 240
const ENTRIES_PER_DEVICE = 3
const BUNDLES_AT_ONCE = 3
const WORN_SINCE = '2020-01-01T00:00:00.000Z'

/** Devices `from` to `until` (exclusive), each worn by a patient of its own. */
export async function admitDevices (server: Pick<Server, 'url'>, token: string, from: number, until: number): Promise<void> {
  const perBundle = ENTRIES_PER_BUNDLE / ENTRIES_PER_DEVICE
  let next = from
  const admitNext = async () => {
    while (next < until) {
      const first = next
      next += perBundle
      await admitBundle(server, token, first, Math.min(next, until))
    }
  }
  await Promise.all(Array.from({ length: BUNDLES_AT_ONCE }, admitNext))
}

async function admitBundle (server: Pick<Server, 'url'>, token: string, from: number, until: number): Promise<void> {
  const entry = Array.from({ length: until - from }, (_, index) => entriesOf(from + index)).flat()
  const answer = await fetch(`${server.url}/fhir`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/fhir+json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry })
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`the server did not take the devices: ${answer.status} ${text.slice(0, 500)}`)
}

function entriesOf (device: number): object[] {
  const name = deviceName(device)
  const urn = (kind: number) => `urn:uuid:00000000-0000-4000-800${kind}-${String(device).padStart(12, '0')}`
  const entry = (type: string, fullUrl: string, resource: object) => ({ fullUrl, resource: { resourceType: type, ...resource }, request: { method: 'POST', url: type } })
  return [
    entry('Patient', urn(0), { name: [{ family: name }] }),
    entry('Device', urn(1), {
      identifier: [{ system: identifierSystem('telemetry-device'), value: name }], status: 'active', manufacturer: 'Example Sensors Inc.', modelNumber: 'TO2-READER-2'
    }),
    entry('DeviceUseStatement', urn(2), {
      identifier: [{ system: identifierSystem('device-association'), value: `${name}/${WORN_SINCE}` }],
      status: 'active', subject: { reference: urn(0) }, device: { reference: urn(1) }, timingPeriod: { start: WORN_SINCE }
    })
  ]
}

/** By device number: the sid its readings stand under. */
export async function sidsOfDevices (server: Server): Promise<Map<number, string>> {
  const client = new Client({ connectionString: await server.databaseUrl('oxbow_linkage') })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string, sid: string }>(
      'select i.value as name, m.sid from fhir.identifier i join linkage.sid_map m on m.device = i.id where i.type = $1 and i.system = $2', ['Device', identifierSystem('telemetry-device')])
    return new Map(rows.filter(({ name }) => name.startsWith('bench-')).map(({ name, sid }) => [Number(name.slice('bench-'.length)), sid]))
  } finally {
    await client.end()
  }
}
