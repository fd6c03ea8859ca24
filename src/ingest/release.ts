/** Readings that waited for an association are released in order, ahead of newer readings of their device, which wait behind them.
 *
 *  Of each device with waiting items one entry is held. While it is `releasing`, its new readings go to quarantine (`behind-waiting`) and a drain
 *  publishes what resolves, in order of event time, sequence and arrival. Invariants (test/integration/ingest/release.test.ts):
 *  R1  no reading of a releasing device is published at the door;
 *  R2  releasing ends in the tick in which a drain knows that no item it could release is left or on its way into quarantine;
 *  R3  an item is marked released only when its append is acknowledged: a crash between repeats the reading, which its identity suppresses;
 *  R4  an item that no association covers stays waiting and blocks nobody; one that fails otherwise is held under that reason. */

import { ServiceError } from '../model/errors.ts'
import type { Sid } from '../model/reading.ts'
import type { Events } from '../observability/events.ts'
import type { GateVisit } from './identify.ts'
import type { DeviceIndex } from './quarantine-item.ts'
import type { Quarantine } from './quarantine.ts'
import type { ReleaseItems } from './release-items.ts'

export interface ReleaserOptions {
  quarantine: Pick<Quarantine, 'waitingOf' | 'waitingDevices' | 'deviceIndexOf'>
  releaseItems: ReleaseItems
  events: Pick<Events, 'raise' | 'clear'>
  /** Items read at once. Default 1,000. */
  pageItems?: number
  /** Devices drained at once. Default 4. */
  devicesAtOnce?: number
  /** Pause before a device whose drain failed, or whose identity store did not answer, is tried again. Default 5 s. */
  retryMs?: number
  /** Blind indexes of device names kept in memory. Default 10,000. */
  indexesMax?: number
}

export interface Releaser {
  /** Opens a visit of the door. */
  enterGate (): GateVisit
  /** Marks every device that has waiting items as releasing; call before the door opens. @throws ServiceError unavailable STORE_UNAVAILABLE */
  start (): Promise<void>
  /** Associations of these devices (their names in telemetry) were committed. Call in the tick in which the resolver's memory is made to forget them. */
  associationRecorded (deviceIds: readonly string[]): void
  /** Tries every device that has waiting items, also those unknown here (put there by another process). */
  releaseAll (): Promise<void>
  /** Resolves when no drain runs or is due at once. */
  settled (): Promise<void>
  close (): Promise<void>
}

interface Entry {
  device: DeviceIndex
  isReleasing: boolean
  /** Readings sent into quarantine under a waiting reason since the entry was made. */
  decidedCount: number
  /** `decidedCount` when the last pass began. */
  drainedCount: number
  /** Visits that decided so and have not ended. */
  visitCount: number
  /** Called when no such visit is left. */
  whenIdle: (() => void)[]
  /** The next pass looks at every waiting item, not only at those newer than the last pass saw. */
  isUnseen: boolean
  seenNumber: number
  /** Waiting items that no association covers, as the passes found. */
  leftCount: number
  /** Sids under which readings of the device were released: another one means that an association is new. */
  sids: Set<Sid>
  isQueued: boolean
}

export function createReleaser (options: ReleaserOptions): Releaser {
  const { quarantine, pageItems = 1_000, devicesAtOnce = 4, retryMs = 5_000 } = options
  const entries = new Map<string, Entry>()
  const indexOf = rememberIndexes(quarantine.deviceIndexOf, options.indexesMax ?? 10_000)
  let changeCount = 0
  let queue: Entry[] = []
  let running = 0
  let isClosed = false
  let isFailing = false
  let retryTimer: NodeJS.Timeout | undefined
  let whenSettled: (() => void)[] = []

  function entryOf (device: DeviceIndex): Entry {
    const key = keyOf(device)
    const known = entries.get(key)
    if (known !== undefined) return known
    const entry: Entry = {
      device, isReleasing: false, decidedCount: 0, drainedCount: 0, visitCount: 0, whenIdle: [], isUnseen: true, seenNumber: 0, leftCount: 0, sids: new Set(), isQueued: false
    }
    entries.set(key, entry)
    return entry
  }

  function drainSoon (entry: Entry): void {
    entry.isReleasing = true
    if (entry.isQueued || isClosed) return
    entry.isQueued = true
    queue.push(entry)
    pump()
  }

  function pump (): void {
    while (running < devicesAtOnce && queue.length > 0) {
      running++
      void drainOne(queue.shift()!)
    }
    if (running > 0) return
    for (const resolve of whenSettled) resolve()
    whenSettled = []
  }

  async function drainOne (entry: Entry): Promise<void> {
    const hasAnswer = await drain(entry).catch(failed)
    running--
    entry.isQueued = false
    // Judged here and not inside the drain: a reading may have been sent to wait while its promise settled (R2).
    if (!hasAnswer) retryLater()
    else if (isDrained(entry)) endReleasing(entry)
    else drainSoon(entry)
    pump()
  }

  function failed (error: unknown): false {
    isFailing = true
    options.events.raise('job-failing', { detail: 'release from quarantine', ...(error instanceof ServiceError ? { code: error.code } : {}) })
    return false
  }

  function endReleasing (entry: Entry): void {
    entry.isReleasing = false
    if (entry.leftCount === 0 && entry.visitCount === 0) entries.delete(keyOf(entry.device))
  }

  function retryLater (): void {
    if (isClosed) return
    retryTimer ??= setTimeout(() => {
      retryTimer = undefined
      for (const entry of entries.values()) if (entry.isReleasing) drainSoon(entry)
    }, retryMs).unref()
  }

  /** False: something did not answer, the device stays releasing. */
  async function drain (entry: Entry): Promise<boolean> {
    do {
      entry.drainedCount = entry.decidedCount
      await visitsEnded(entry)
      if (isClosed || !(await drainPass(entry))) return false
    } while (!isDrained(entry))
    if (isFailing) options.events.clear('job-failing')
    isFailing = false
    return true
  }

  async function drainPass (entry: Entry): Promise<boolean> {
    const newerThan = entry.isUnseen ? 0 : entry.seenNumber
    if (entry.isUnseen) entry.leftCount = 0
    entry.isUnseen = false
    let cursor: Parameters<Quarantine['waitingOf']>[2]
    for (;;) {
      const items = await quarantine.waitingOf(entry.device, newerThan, cursor, pageItems)
      const last = items.at(-1)
      if (last === undefined) return true
      const outcome = await options.releaseItems(items)
      entry.leftCount += outcome.leftCount
      for (const sid of outcome.sids) entry.sids.add(sid)
      if (outcome.isUnavailable) {
        entry.isUnseen = true
        return false
      }
      for (const { number } of items) entry.seenNumber = Math.max(entry.seenNumber, number)
      if (items.length < pageItems) return true
      cursor = { eventTime: last.eventTime!, sequence: last.sequence!, number: last.number }
    }
  }

  function enterGate (): GateVisit {
    const seenChanges = changeCount
    let touched: Set<Entry> | undefined
    return {
      mustWait (deviceId, sid) {
        if (entries.size === 0) return false
        const entry = entries.get(keyOf(indexOf(deviceId)))
        if (entry === undefined) return false
        if (!entry.isReleasing && !entry.sids.has(sid)) {
          entry.isUnseen = true
          drainSoon(entry)
        }
        return entry.isReleasing
      },
      willWait (deviceId, reason) {
        const entry = entryOf(indexOf(deviceId))
        entry.decidedCount++
        touched ??= new Set()
        if (!touched.has(entry)) {
          touched.add(entry)
          entry.visitCount++
        }
        // An association was recorded while this reading was identified, or the store will answer later: somebody must look again.
        if (reason === 'linkage-unavailable') {
          entry.isReleasing = true
          retryLater()
        } else if (changeCount !== seenChanges) {
          entry.isUnseen = true
          drainSoon(entry)
        }
      },
      end () {
        for (const entry of touched ?? []) leave(entry)
        touched = undefined
      }
    }
  }

  function associationRecorded (deviceIds: readonly string[]): void {
    changeCount++
    for (const deviceId of deviceIds) look(indexOf(deviceId))
  }

  function look (device: DeviceIndex): void {
    const entry = entryOf(device)
    entry.isUnseen = true
    drainSoon(entry)
  }

  async function releaseAll (): Promise<void> {
    for (const device of await quarantine.waitingDevices()) look(device)
  }

  const settled = () => running === 0 ? Promise.resolve() : new Promise<void>(resolve => { whenSettled.push(resolve) })
  return {
    enterGate,
    start: releaseAll,
    associationRecorded,
    releaseAll,
    settled,
    async close () {
      isClosed = true
      clearTimeout(retryTimer)
      queue = []
      await settled()
    }
  }
}

/** Nothing was sent to wait since the last pass began, and no association was recorded. */
function isDrained (entry: Entry): boolean { return entry.drainedCount === entry.decidedCount && !entry.isUnseen }

function leave (entry: Entry): void {
  entry.visitCount--
  if (entry.visitCount > 0) return
  for (const resolve of entry.whenIdle) resolve()
  entry.whenIdle = []
}

function visitsEnded (entry: Entry): Promise<void> | undefined {
  return entry.visitCount === 0 ? undefined : new Promise(resolve => { entry.whenIdle.push(resolve) })
}

function keyOf ({ version, index }: DeviceIndex): string { return `${version}/${index.toString('base64')}` }

function rememberIndexes (deviceIndexOf: (deviceId: string) => DeviceIndex, sizeMax: number): (deviceId: string) => DeviceIndex {
  const known = new Map<string, DeviceIndex>()
  return deviceId => {
    const kept = known.get(deviceId)
    if (kept !== undefined) return kept
    const device = deviceIndexOf(deviceId)
    if (known.size >= sizeMax) known.delete(known.keys().next().value!)
    known.set(deviceId, device)
    return device
  }
}
