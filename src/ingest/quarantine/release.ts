/** Readings that waited for an association are released in order, ahead of newer readings of their device, which wait behind them.
 *
 *  Of each device with waiting items one entry is held. While it is `releasing`, its new readings go to quarantine (`behind-waiting`) and a drain
 *  publishes what resolves, in order of event time, sequence and arrival. Invariants (test/integration/ingest/release.test.ts):
 *  R1  no reading of a releasing device is published at the door;
 *  R2  releasing ends in the tick in which a drain knows that no item it could release is left or on its way into quarantine;
 *  R3  an item is marked released only when its append is acknowledged: a crash between repeats the reading, which its identity suppresses;
 *  R4  an item that no association covers stays waiting and blocks nobody; one that fails otherwise is held under that reason. */

import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import type { Events } from '../../observability/events.ts'
import type { GateVisit } from '../identify.ts'
import type { DeviceIndex } from './quarantine-item.ts'
import type { WaitingCursor } from './quarantine-rows.ts'
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
  /** Associations of these devices (their names in telemetry) were committed. Call in the tick in which the resolver forgets them. */
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

interface State extends Required<Pick<ReleaserOptions, 'pageItems' | 'devicesAtOnce' | 'retryMs'>> {
  options: ReleaserOptions
  entries: Map<string, Entry>
  indexOf: (deviceId: string) => DeviceIndex
  changeCount: number
  /** Entries whose drain is due. */
  queue: Entry[]
  runningCount: number
  isClosed: boolean
  isFailing: boolean
  retryTimer: NodeJS.Timeout | undefined
  whenSettled: (() => void)[]
}

export function createReleaser (options: ReleaserOptions): Releaser {
  const { quarantine, pageItems = 1_000, devicesAtOnce = 4, retryMs = 5_000 } = options
  const state: State = {
    options, pageItems, devicesAtOnce, retryMs, entries: new Map(), indexOf: rememberIndexes(quarantine.deviceIndexOf, options.indexesMax ?? 10_000),
    changeCount: 0, queue: [], runningCount: 0, isClosed: false, isFailing: false, retryTimer: undefined, whenSettled: []
  }
  async function releaseAll (): Promise<void> {
    for (const device of await quarantine.waitingDevices()) lookAgain(state, entryOf(state, device))
  }
  return {
    enterGate: () => enterGate(state),
    start: releaseAll,
    associationRecorded (deviceIds) {
      state.changeCount++
      for (const deviceId of deviceIds) lookAgain(state, entryOf(state, state.indexOf(deviceId)))
    },
    releaseAll,
    settled: () => settled(state),
    async close () {
      state.isClosed = true
      clearTimeout(state.retryTimer)
      state.queue = []
      await settled(state)
    }
  }
}

function settled (state: State): Promise<void> {
  return state.runningCount === 0 ? Promise.resolve() : new Promise(resolve => { state.whenSettled.push(resolve) })
}

function entryOf ({ entries }: State, device: DeviceIndex): Entry {
  const key = keyOf(device)
  const known = entries.get(key)
  if (known !== undefined) return known
  const entry: Entry = {
    device, isReleasing: false, decidedCount: 0, drainedCount: 0, visitCount: 0, whenIdle: [], isUnseen: true, seenNumber: 0, leftCount: 0,
    sids: new Set(), isQueued: false
  }
  entries.set(key, entry)
  return entry
}

/** An association may be new: every waiting item of the device is tried. */
function lookAgain (state: State, entry: Entry): void {
  entry.isUnseen = true
  drainSoon(state, entry)
}

function drainSoon (state: State, entry: Entry): void {
  entry.isReleasing = true
  if (entry.isQueued || state.isClosed) return
  entry.isQueued = true
  state.queue.push(entry)
  pump(state)
}

function pump (state: State): void {
  while (state.runningCount < state.devicesAtOnce && state.queue.length > 0) {
    state.runningCount++
    void drainOne(state, state.queue.shift()!)
  }
  if (state.runningCount > 0) return
  for (const resolve of state.whenSettled) resolve()
  state.whenSettled = []
}

async function drainOne (state: State, entry: Entry): Promise<void> {
  const hasAnswer = await drain(state, entry).catch(error => failed(state, entry, error))
  state.runningCount--
  entry.isQueued = false
  // Judged here and not inside the drain: a reading may have been sent to wait while its promise settled (R2).
  if (!hasAnswer) retryLater(state)
  else if (isDrained(entry)) endReleasing(state, entry)
  else drainSoon(state, entry)
  pump(state)
}

function failed (state: State, entry: Entry, error: unknown): false {
  // Which pages were done is not certain.
  entry.isUnseen = true
  state.isFailing = true
  state.options.events.raise('job-failing', { detail: 'release from quarantine', ...(error instanceof ServiceError ? { code: error.code } : {}) })
  return false
}

function endReleasing ({ entries }: State, entry: Entry): void {
  entry.isReleasing = false
  if (entry.leftCount === 0 && entry.visitCount === 0) entries.delete(keyOf(entry.device))
}

function retryLater (state: State): void {
  if (state.isClosed) return
  state.retryTimer ??= setTimeout(() => {
    state.retryTimer = undefined
    for (const entry of state.entries.values()) if (entry.isReleasing) drainSoon(state, entry)
  }, state.retryMs).unref()
}

/** False: something did not answer, the device stays releasing. */
async function drain (state: State, entry: Entry): Promise<boolean> {
  do {
    entry.drainedCount = entry.decidedCount
    await visitsEnded(entry)
    if (state.isClosed || !(await drainPass(state, entry))) return false
  } while (!isDrained(entry))
  if (state.isFailing) state.options.events.clear('job-failing')
  state.isFailing = false
  return true
}

/** One pass over the waiting items that no pass has seen, or over all. */
async function drainPass ({ options, pageItems }: State, entry: Entry): Promise<boolean> {
  const newerThan = entry.isUnseen ? 0 : entry.seenNumber
  if (entry.isUnseen) entry.leftCount = 0
  entry.isUnseen = false
  let cursor: WaitingCursor | undefined
  for (;;) {
    const items = await options.quarantine.waitingOf(entry.device, newerThan, cursor, pageItems)
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

function enterGate (state: State): GateVisit {
  const seenChanges = state.changeCount
  let touched: Set<Entry> | undefined
  return {
    mustWait (deviceId, sid) {
      if (state.entries.size === 0) return false
      const entry = state.entries.get(keyOf(state.indexOf(deviceId)))
      if (entry === undefined) return false
      if (!entry.isReleasing && !entry.sids.has(sid)) lookAgain(state, entry)
      return entry.isReleasing
    },
    willWait (deviceId, reason) {
      const entry = entryOf(state, state.indexOf(deviceId))
      entry.decidedCount++
      touched ??= new Set()
      if (!touched.has(entry)) {
        touched.add(entry)
        entry.visitCount++
      }
      // The store will answer later, or an association was recorded while this reading was identified: somebody must look again.
      if (reason === 'linkage-unavailable') {
        entry.isReleasing = true
        retryLater(state)
      } else if (state.changeCount !== seenChanges) {
        lookAgain(state, entry)
      }
    },
    end () {
      for (const entry of touched ?? []) leave(entry)
      touched = undefined
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
