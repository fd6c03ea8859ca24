/** Data keys at hand: takes a sid or an arrival day, gives its key, from memory where it can. */

import { createSecretKey, type KeyObject } from 'node:crypto'
import { ServiceError } from '../model/errors.ts'
import type { Sid } from '../model/reading.ts'
import type { EpochMs } from '../model/units.ts'
import type { DataKey, KekName, KeyContext, KeyRing } from '../platform/keys/key-ring.ts'
import { createBoundedMemory } from './bounded-memory.ts'

export interface DataKeysOptions {
  keyRing: KeyRing
  now: () => EpochMs
  /** Most keys held in memory, about 400 bytes each; more than one request may bring sids. Default 200,000. */
  sizeMax?: number
  /** How long a key is used without asking the ring: a destroyed key is refused everywhere after that. Default 5 min. */
  ttlMs?: number
}

/** A data key and the id by which the ring finds it. */
export interface HeldKey { id: string, key: KeyObject }

/** What is sealed under it was sealed when it had been made (`DataKey.madeAt`). */
export interface SidKey extends HeldKey { madeAt: EpochMs }

export interface DataKeys {
  /** Made at the first call. @throws ServiceError KEY_DESTROYED */
  forSid (sid: Sid): KeyObject | Promise<KeyObject>
  /** Brings all these keys to hand in one round; `undefined` when they are. Destroyed ones are passed over. */
  warm (sids: readonly Sid[]): Promise<void> | undefined
  /** All of them in one round; `undefined` stands for a destroyed one. */
  heldForSids (sids: readonly Sid[]): Promise<ReadonlyMap<Sid, SidKey | undefined>>
  /** Key of the quarantined items that arrived on this day (`arrivalDay`). @throws ServiceError KEY_DESTROYED */
  forDay (day: string): KeyObject | Promise<KeyObject>
  /** Drops keys from memory, as after their destruction. */
  forget (...names: readonly string[]): void
}

/** UTC day, `2026-02-03`. */
export function arrivalDay (time: EpochMs): string { return new Date(time).toISOString().slice(0, 10) }

/** What a record's original bytes on `oxbow.raw.v1` are sealed to. */
export function rawContext (sid: Sid): KeyContext { return { store: 'archive', object: sid, purpose: 'raw' } }

// A sid and a day never look alike, so both stand in one memory under their own names.
/** Of the data key of a sid. */
export const OF_SID = (sid: string): KeyContext => ({ store: 'archive', object: sid, purpose: 'data-key' })
const OF_DAY = (day: string): KeyContext => ({ store: 'quarantine', object: day, purpose: 'data-key' })

/** How long an opened key is used without asking again: one that is destroyed opens nothing more after that, wherever it was (privacy.md, Acceptance 25). */
export const KEY_TTL_MS = 5 * 60_000

export function createDataKeys (options: DataKeysOptions): DataKeys {
  const { keyRing, now, sizeMax = 200_000, ttlMs = KEY_TTL_MS } = options
  // KeyObjects, not bytes: whoever still holds a displaced one keeps a sound key, and OpenSSL clears it when it is freed.
  const atHand = createBoundedMemory<SidKey>({ sizeMax, now })
  const loading = new Map<string, Promise<SidKey | undefined>>()

  function load (kek: KekName, contextOf: (name: string) => KeyContext, names: readonly string[]): Promise<SidKey | undefined>[] {
    const missing = names.filter(name => !loading.has(name))
    if (missing.length > 0) {
      const round = keyRing.deks(kek, missing.map(contextOf))
      missing.forEach((name, place) => { follow(name, round.then(keys => asHeld(keys[place]))) })
    }
    return names.map(name => loading.get(name)!)
  }

  /** Keeps what a round brings, unless it was forgotten meanwhile. */
  function follow (name: string, coming: Promise<SidKey | undefined>): void {
    loading.set(name, coming)
    const arrived = (key: SidKey | undefined) => {
      if (loading.get(name) !== coming) return
      loading.delete(name)
      if (key !== undefined) atHand.set(name, key, now() + ttlMs)
    }
    coming.then(arrived, () => { arrived(undefined) })
  }

  return {
    forSid: sid => atHand.get(sid)?.key ?? load('archive', OF_SID, [sid])[0]!.then(orDestroyed),
    forDay: day => atHand.get(day)?.key ?? load('quarantine', OF_DAY, [day])[0]!.then(orDestroyed),
    warm: sids => {
      const missing = [...new Set(sids.filter(sid => atHand.get(sid) === undefined))]
      return missing.length === 0 ? undefined : Promise.all(load('archive', OF_SID, missing)).then(() => {})
    },
    heldForSids: async sids => {
      const held = new Map<Sid, SidKey | undefined>(sids.map(sid => [sid, atHand.get(sid)]))
      const missing = [...held].filter(([, key]) => key === undefined).map(([sid]) => sid)
      const loaded = await Promise.all(load('archive', OF_SID, missing))
      missing.forEach((sid, place) => { held.set(sid, loaded[place]) })
      return held
    },
    forget: (...names) => {
      for (const name of names) {
        atHand.delete(name)
        loading.delete(name)
      }
    }
  }
}

function asHeld (dataKey: DataKey | undefined): SidKey | undefined {
  if (dataKey === undefined) return undefined
  const key = createSecretKey(dataKey.key)
  dataKey.key.fill(0)
  return { id: dataKey.id, key, madeAt: dataKey.madeAt }
}

function orDestroyed (held: HeldKey | undefined): KeyObject {
  if (held === undefined) throw new ServiceError('not-found', 'KEY_DESTROYED', 'the data key was destroyed; what it sealed cannot be opened any more')
  return held.key
}

/** Behind a promise for what a key opens: `undefined` when that key was destroyed. */
export function undefinedWhenDestroyed (error: unknown): undefined {
  if (error instanceof ServiceError && error.code === 'KEY_DESTROYED') return undefined
  throw error
}
