/** Device name and event time → sid valid at that time: the resolver of `model/identity.ts`, from a bounded part of the map kept in
 *  memory (privacy.md §3, steps 2–5; never the whole map). */

import type { Pool } from 'pg'
import { identifierSystem } from '../../model/identifier.ts'
import type { Resolution, SidResolver } from '../../model/identity.ts'
import type { EpochMs } from '../../model/units.ts'
import { type DeviceIdentity, identitiesOf } from './device-identity.ts'
import type { BlindIndexEntry } from './device-name.ts'

export interface SidResolverOptions {
  pool: Pool
  /** Indexes of a name, one for each key version in use. */
  blindIndexes: (system: string, value: string) => readonly BlindIndexEntry[] | Promise<readonly BlindIndexEntry[]>
  /** Identifier systems under which a payload may name its patient. */
  patientSystems: readonly string[]
  now: () => EpochMs
  /** Devices kept in memory. Default 200,000. */
  devicesMax?: number
  /** How long a device is kept. Default 5 min. */
  keepMs?: number
  /** How long it is remembered that a name is no device's. Default 5 s. */
  keepUnknownMs?: number
  /** Such names kept. Default 10,000. */
  unknownMax?: number
  /** How long a look-up may take; then `linkage-unavailable`. Default 2 s. */
  timeoutMs?: number
  /** After a failed look-up none is tried for this long. Default 1 s. */
  pauseMs?: number
  /** Most names in one look-up. Default 500. */
  batchMax?: number
}

export interface CachedSidResolver {
  resolve: SidResolver
  /** What is kept of these Devices (logical ids) is forgotten, and every name remembered as unknown. */
  forget (devices: readonly string[] | 'all'): void
}

interface Period { from: number, until: number, patientNames: ReadonlySet<string>, answer: Resolution }
interface Kept { device: string, until: number, isUsed: boolean, periods: readonly Period[], none: Resolution, mismatch: Resolution }

const UNKNOWN: Resolution = { reason: 'device-unknown' }
const UNAVAILABLE: Resolution = { reason: 'linkage-unavailable' }
/** Longer names are looked up each time, so that no sender fills the memory. */
const NAME_LENGTH_MAX = 256

export function createSidResolver (options: SidResolverOptions): CachedSidResolver {
  const { now, keepUnknownMs = 5_000, unknownMax = 10_000 } = options
  const devices = createDeviceMemory(options)
  const unknown = new Map<string, number>()
  const load = createLoader(options, {
    found: (name, kept) => { if (name.length <= NAME_LENGTH_MAX) devices.set(name, kept) },
    missing: name => {
      if (name.length > NAME_LENGTH_MAX) return
      if (unknown.size >= unknownMax) unknown.clear()
      unknown.set(name, now() + keepUnknownMs)
    }
  })
  return {
    resolve (deviceId, takenAt, patientId) {
      const time = now()
      const kept = devices.get(deviceId, time)
      if (kept !== undefined) return answer(kept, takenAt, patientId)
      const until = unknown.get(deviceId)
      if (until !== undefined && time < until) return UNKNOWN
      return load.one(deviceId, time).then(found => typeof found === 'string' ? (found === 'unknown' ? UNKNOWN : UNAVAILABLE) : answer(found, takenAt, patientId))
    },
    forget (changed) {
      load.renew()
      unknown.clear()
      devices.forget(changed)
    }
  }
}

function answer (kept: Kept, takenAt: EpochMs, patientId: string | undefined): Resolution {
  for (const period of kept.periods) {
    if (takenAt < period.from || takenAt >= period.until) continue
    return patientId === undefined || period.patientNames.has(patientId) ? period.answer : kept.mismatch
  }
  return kept.none
}

/** By name; displaces what was not used since the last round over it. */
function createDeviceMemory ({ devicesMax = 200_000 }: SidResolverOptions) {
  const byName = new Map<string, Kept>()
  const namesOf = new Map<string, Set<string>>()
  const remove = (name: string, kept: Kept) => {
    byName.delete(name)
    const names = namesOf.get(kept.device)
    names?.delete(name)
    if (names?.size === 0) namesOf.delete(kept.device)
  }
  const makeRoom = () => {
    for (const [name, kept] of byName) {
      if (byName.size <= devicesMax) return
      byName.delete(name)
      if (kept.isUsed) byName.set(name, { ...kept, isUsed: false })
      else remove(name, kept)
    }
  }
  return {
    get (name: string, time: number): Kept | undefined {
      const kept = byName.get(name)
      if (kept === undefined || time >= kept.until) return undefined
      kept.isUsed = true
      return kept
    },
    set (name: string, kept: Kept): void {
      byName.set(name, kept)
      const names = namesOf.get(kept.device)
      if (names === undefined) namesOf.set(kept.device, new Set([name]))
      else names.add(name)
      makeRoom()
    },
    forget (changed: readonly string[] | 'all'): void {
      if (changed === 'all') {
        byName.clear()
        namesOf.clear()
        return
      }
      for (const device of changed) {
        for (const name of namesOf.get(device) ?? []) byName.delete(name)
        namesOf.delete(device)
      }
    }
  }
}

type Found = Kept | 'unknown' | 'unavailable'
interface Waiting { name: string, resolve: (found: Found) => void }

/** Gathers the misses of one turn into one look-up. */
function createLoader (options: SidResolverOptions, keep: { found: (name: string, kept: Kept) => void, missing: (name: string) => void }) {
  const { batchMax = 500, pauseMs = 1_000, now } = options
  const pending = new Map<string, Promise<Found>>()
  let queue: Waiting[] = []
  let pausedUntil = 0
  // What was read before a change may be old: it is answered, not kept.
  let generation = 0

  function flush (): void {
    const all = queue
    queue = []
    for (let at = 0; at < all.length; at += batchMax) void run(all.slice(at, at + batchMax))
  }

  async function run (batch: readonly Waiting[]): Promise<void> {
    const begun = generation
    const found = await withTimeout(lookUp(batch.map(({ name }) => name), options), options.timeoutMs ?? 2_000).catch(() => undefined)
    if (found === undefined) pausedUntil = now() + pauseMs
    for (const { name, resolve } of batch) {
      const kept = found?.get(name)
      if (generation === begun) {
        pending.delete(name)
        if (kept !== undefined) keep.found(name, kept)
        else if (found !== undefined) keep.missing(name)
      }
      resolve(kept ?? (found === undefined ? 'unavailable' : 'unknown'))
    }
  }

  return {
    one (name: string, time: number): Promise<Found> {
      const known = pending.get(name)
      if (known !== undefined) return known
      if (time < pausedUntil) return Promise.resolve('unavailable')
      const promise = new Promise<Found>(resolve => {
        if (queue.length === 0) setImmediate(flush)
        queue.push({ name, resolve })
      })
      pending.set(name, promise)
      return promise
    },
    renew (): void {
      generation++
      pending.clear()
    }
  }
}

async function lookUp (names: readonly string[], options: SidResolverOptions): Promise<Map<string, Kept>> {
  const system = identifierSystem('telemetry-device')
  const entries: BlindIndexEntry[] = []
  const nameOf = new Map<BlindIndexEntry, string>()
  for (const name of names) {
    for (const entry of await options.blindIndexes(system, name)) {
      entries.push(entry)
      nameOf.set(entry, name)
    }
  }
  const found = await identitiesOf(options.pool, entries, options.patientSystems)
  const until = options.now() + (options.keepMs ?? 300_000)
  return new Map([...found].map(([entry, identity]) => [nameOf.get(entry)!, toKept(identity, until)]))
}

function toKept ({ device, model, periods }: DeviceIdentity, until: number): Kept {
  return {
    device,
    until,
    isUsed: true,
    periods: periods.map(({ sid, valid, patientNames }) => ({
      from: valid.from, until: valid.until ?? Number.POSITIVE_INFINITY, patientNames, answer: { sid, model }
    })),
    none: { model, reason: 'not-associated' },
    mismatch: { model, reason: 'patient-mismatch' }
  }
}

async function withTimeout<T> (work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => { timer = setTimeout(() => { reject(new Error('too late')) }, timeoutMs) })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
