/** After a run of senders, once everything has come to rest: what was acknowledged is there, once, in order, in right windows, and the counters say so. */

import { expect } from 'vitest'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import { ledgerGaps, seriesSums, type StoredSeries, storedSeries, wrongWindows } from './brute-force.ts'
import { asOwner } from './owner-view.ts'
import type { Senders } from './sender.ts'

/** Times before it are refused as implausible. */
const LONG_AGO_END = Date.UTC(2000, 0, 1)

export interface Run {
  dataDir: string
  senders: Senders
  /** Worn all the time. */
  devices: readonly string[]
  series: readonly StoredSeries[]
  /** By identity, `deviceId/takenAt/sequence`. */
  stored: ReadonlyMap<string, Stored>
}

interface Stored { values: readonly (number | undefined)[], partition: number, offset: number }

/** Everything that is stored, looked at once. */
export async function finishedRun (given: Pick<Run, 'dataDir' | 'senders' | 'devices'>): Promise<Run> {
  const series = await asOwner(given.dataDir, storedSeries)
  const stored = new Map<string, Stored>()
  const twice: string[] = []
  for (const { deviceId, rows } of series) {
    for (const { takenAt, sequence, values, partition, offset } of rows) {
      const key = `${deviceId}/${takenAt}/${sequence}`
      if (stored.has(key)) twice.push(key)
      stored.set(key, { values, partition, offset })
    }
  }
  expect(twice).toEqual([])
  return { ...given, series, stored }
}

/** Nothing that was not sent is there either. */
export function expectStoredOnce ({ senders, devices, stored }: Run): void {
  const missing = [...senders.acknowledged, ...[...senders.quarantined].filter(key => isReleased(key, devices))].filter(key => !stored.has(key))
  expect(missing).toEqual([])
  expect([...stored].filter(([key, { values }]) => textOf(values) !== textOf(senders.sent.get(key)))).toEqual([])
}

function textOf (values: readonly (number | undefined)[] | undefined): string { return `${values?.[0]} ${values?.[1]}` }

/** What waited only because the identity store did not answer. */
function isReleased (key: string, devices: readonly string[]): boolean {
  const [device, time] = key.split('/')
  return devices.includes(device!) && Number(time) > LONG_AGO_END
}

/** Of one device, what was acknowledged before another reading was sent for the first time stands before it on the bus. */
export function expectOrder ({ senders: { sentAt, acknowledgedAt }, devices, stored }: Run): void {
  const keysOf = Map.groupBy([...stored.keys()].filter(key => acknowledgedAt.has(key)), key => key.split('/')[0]!)
  const early: string[] = []
  for (const device of devices) {
    const keys = keysOf.get(device) ?? []
    expect(new Set(keys.map(key => stored.get(key)!.partition)).size, device).toBe(1)
    const acknowledged = keys.toSorted((a, b) => acknowledgedAt.get(a)! - acknowledgedAt.get(b)!)
    let [place, highest] = [0, -1]
    for (const key of keys.toSorted((a, b) => sentAt.get(a)! - sentAt.get(b)!)) {
      for (; place < acknowledged.length && acknowledgedAt.get(acknowledged[place]!)! < sentAt.get(key)!; place++) highest = Math.max(highest, stored.get(acknowledged[place]!)!.offset)
      if (stored.get(key)!.offset <= highest) early.push(key)
    }
  }
  expect(early).toEqual([])
}

/** Every window says what its readings say, computed all at once. */
export async function expectWindows ({ dataDir, devices, series: all }: Run): Promise<void> {
  const models = await loadDeviceModels('mappings/models')
  expect(all.length).toBe(devices.length)
  await asOwner(dataDir, async view => {
    for (const series of all) expect(await wrongWindows(view, series, models)).toEqual([])
    expect(await ledgerGaps(view)).toEqual([])
  })
}

/** Law 4: what was accepted is stored or suppressed, and what was not is in quarantine. @param foreign records that others wrote on the topic */
export async function expectBalance ({ dataDir, senders, devices }: Run, foreign = 0): Promise<void> {
  await asOwner(dataDir, async view => {
    const { accepted, stored, duplicate, conflict, rows } = await seriesSums(view)
    expect({ accepted, stored, conflict }).toEqual({ accepted: stored + duplicate, stored: rows, conflict: 0 })
    const { rows: [items] } = await view.pool('bus').query<{ seen: number, kept: number, open: number, released: number, keys: number }>(
      `select coalesce(sum(times_seen), 0)::bigint as seen, count(*) as kept, count(*) filter (where state in ('waiting', 'held')) as open, count(*) filter (where state = 'released') as released,
              count(distinct (device_index, event_time, sequence)) filter (where state in ('waiting', 'held')) as keys
         from quarantine.item where kind = 'record'`)
    const { rows: [bodies] } = await view.pool('bus').query<{ seen: number, kept: number }>(
      `select coalesce(sum(times_seen), 0)::bigint as seen, count(*) as kept from quarantine.item where kind = 'body' and reason = 'foreign-record'`)
    expect(bodies!.seen).toBe(foreign)
    const { rows: [counted] } = await view.pool('bus').query<{ records: number, repeated: number, released: number }>(
      'select sum(records)::bigint as records, sum(repeated)::bigint as repeated, sum(released)::bigint as released from ingest.quarantined')
    const seen = items!.seen + foreign
    expect(counted).toEqual({ records: seen, repeated: seen - items!.kept - bodies!.kept, released: items!.released })
    expect(items!.kept).toBe(items!.open + items!.released)
    expect(items!.keys).toBeGreaterThanOrEqual([...senders.quarantined].filter(key => !isReleased(key, devices)).length)
    // Requests whose answer was lost are counted here, and not by the senders.
    expect(items!.seen).toBeGreaterThanOrEqual(senders.sums.quarantined)
    expect(accepted).toBeGreaterThanOrEqual(senders.sums.accepted + items!.released)
  })
}
