/** A request's records and who sends them → whether their gateway may send now, and which devices are over their limit (docs/decisions/0014). */

import { ServiceError } from '../model/errors.ts'
import type { EpochMs } from '../model/units.ts'
import type { Events } from '../observability/events.ts'
import { createHeldBack, type HeldBack } from './held-back.ts'
import { createRateLimiter, type Rate, type RateLimiter } from './rate-limit.ts'

/** Devices of which nothing in this request is kept, and when the whole request may come again: then its gateway and every device of it may send
 *  all of theirs, those charged just now included. Told less, two devices could take turns for ever, each charged while the other waits. */
export interface Surplus { devices: ReadonlySet<string>, count: number, retryAfterS: number }

/** `undefined`: everything goes on. @param unreadCount records without a device · @throws ServiceError busy RATE_LIMITED for the whole request */
export type Admit = (gateway: string, records: readonly { deviceId: string }[], unreadCount: number, now: EpochMs) => Surplus | undefined

export interface Admission {
  admit: Admit
  /** Raises and clears the alarms of who is held back for long; to be called about once a minute. */
  report (): void
}

export interface AdmissionOptions {
  gatewayRate?: Rate | undefined
  deviceRate?: Rate | undefined
  events: Pick<Events, 'limited' | 'raise' | 'clear'>
  now: () => EpochMs
}

type Limit = 'gateway' | 'device'
/** One kind of sender, with its limit. */
interface Door { limiter: RateLimiter, heldBack: HeldBack }

const ALARMS = { gateway: 'gateway-limited', device: 'device-limited' } as const

/** `undefined` when neither has a limit. */
export function createAdmission ({ gatewayRate, deviceRate, events, now }: AdmissionOptions): Admission | undefined {
  const gateways = gatewayRate === undefined ? undefined : doorOf(gatewayRate)
  const devices = deviceRate === undefined ? undefined : doorOf(deviceRate)
  if (gateways === undefined && devices === undefined) return undefined
  const raised = new Set<Limit>()

  function reportOne (limit: Limit, door: Door | undefined): void {
    const count = door?.heldBack.longCount(now()) ?? 0
    if (count > 0 && !raised.has(limit)) events.raise(ALARMS[limit], { count })
    if (count === 0 && raised.has(limit)) events.clear(ALARMS[limit])
    if (count > 0) raised.add(limit)
    else raised.delete(limit)
  }

  return {
    admit (gateway, records, unreadCount, time) {
      const count = records.length + unreadCount
      if (gateways !== undefined) takeWhole(gateways, gateway, count, time, events)
      const over = devices === undefined || records.length === 0 ? undefined : takeByDevice(devices, records, time)
      if (devices === undefined || over === undefined) return undefined
      // What a device may not send is not charged to its gateway, or one wild device would hold back the others.
      gateways?.limiter.giveBack(gateway, over.surplusCount)
      const retryAfterS = secondsOf(Math.max(over.waitMs, gateways?.limiter.waitFor(gateway, count, time) ?? 0))
      for (const deviceId of over.devices) devices.heldBack.refused(deviceId, retryAfterS * 1_000, time)
      events.limited('device', over.surplusCount)
      return { devices: over.devices, count: over.surplusCount, retryAfterS }
    },
    report () {
      reportOne('gateway', gateways)
      reportOne('device', devices)
    }
  }
}

function doorOf (rate: Rate): Door { return { limiter: createRateLimiter(rate), heldBack: createHeldBack() } }

function takeWhole ({ limiter, heldBack }: Door, gateway: string, count: number, now: EpochMs, events: Pick<Events, 'limited'>): void {
  const waitMs = limiter.take(gateway, count, now)
  if (waitMs === 0) return
  heldBack.refused(gateway, waitMs, now)
  events.limited('gateway', count)
  throw new ServiceError('busy', 'RATE_LIMITED', 'more readings than this sender may send at once (setting ingest.ratePerGateway): nothing was kept, send the same again after Retry-After',
    { retryAfterS: secondsOf(waitMs) })
}

/** All records of a device go on or none, so that a sender who repeats them comes through. `waitMs`: until every device may send all of its own again. */
function takeByDevice ({ limiter }: Door, records: readonly { deviceId: string }[], now: EpochMs): { devices: ReadonlySet<string>, surplusCount: number, waitMs: number } | undefined {
  const counts = countsByDevice(records)
  const devices = new Set<string>()
  let surplusCount = 0
  for (const [deviceId, count] of counts) {
    if (limiter.take(deviceId, count, now) === 0) continue
    devices.add(deviceId)
    surplusCount += count
  }
  if (devices.size === 0) return undefined
  let waitMs = 0
  for (const [deviceId, count] of counts) waitMs = Math.max(waitMs, limiter.waitFor(deviceId, count, now))
  return { devices, surplusCount, waitMs }
}

/** Runs of one device, as a gateway mostly sends them, are counted without a look-up for each record. */
function countsByDevice (records: readonly { deviceId: string }[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  let last = records[0]!.deviceId
  let run = 0
  for (const { deviceId } of records) {
    if (deviceId === last) { run++; continue }
    counts.set(last, run + (counts.get(last) ?? 0))
    last = deviceId
    run = 1
  }
  return counts.set(last, run + (counts.get(last) ?? 0))
}

function secondsOf (ms: number): number { return Math.max(1, Math.ceil(ms / 1_000)) }
