/** Readings that waited for an association are released in order, ahead of newer readings of their device, which wait behind them.
 *
 *  Of each device with waiting items one entry is held: of those found at a start or in a sweep, and of those this process sends there. A device
 *  without an entry has nothing to release, and its readings pass. A look (at a start, in a sweep) resolves items and publishes nothing, and new
 *  readings pass meanwhile. A device with an entry is `releasing` from the tick in which a look resolved an item, an association of it was
 *  announced, or a reading of it came under a sid not seen on it: its new readings then go to quarantine (`behind-waiting`) and a drain publishes
 *  what resolves, in order of event time, sequence and arrival. Invariants (test/integration/ingest/quarantine/release.test.ts, release-many.test.ts):
 *  R1  no reading of a releasing device is published at the door, and no item of a device that is not releasing is published here: a reading
 *      identified before that tick was behind nothing, one identified after it waits;
 *  R2  releasing ends in the tick in which a drain knows that no item it could release is left or on its way into quarantine;
 *  R3  an item is marked released only when its append is acknowledged: a crash between repeats the reading, which its identity suppresses;
 *  R4  an item that no association covers stays waiting and blocks nobody, nor does a look at it, however many there are; one that fails
 *      otherwise is held under that reason. */

import type { JobReport } from '../../observability/events.ts'
import type { GateVisit } from '../identify.ts'
import type { DeviceIndex } from './quarantine-item.ts'
import type { Quarantine } from './quarantine.ts'
import { createReleaseQueue, type ReleaseQueue, type Turn } from './release-queue.ts'
import {
  drain, isDrained, keyOf, leave, look, newWaitingDevice, type ReleaseWork, rememberIndexes, type WaitingDevice
} from './waiting-device.ts'
import type { ReleaseItems } from './release-items.ts'

export interface ReleaserOptions {
  quarantine: Pick<Quarantine, 'waitingOf' | 'waitingDevices' | 'deviceIndexOf'>
  releaseItems: ReleaseItems
  /** Told when something does not answer, and when it answers again. */
  report: JobReport
  /** Items read at once. Default 1,000. */
  pageItems?: number
  /** Pause before a device whose drain failed, or whose identity store did not answer, is tried again. Default 5 s. */
  retryMs?: number
}

export interface Releaser {
  /** Opens a visit of the door. */
  enterGate (): GateVisit
  /** Learns which devices have waiting items and looks at those that the identity store knows, at the others in the background; call before the
   *  door opens. @throws ServiceError unavailable STORE_UNAVAILABLE */
  start (): Promise<void>
  /** Associations of these devices (their names in telemetry) were committed. Call in the tick in which the resolver forgets them. */
  associationRecorded (deviceIds: readonly string[]): void
  /** Queues a look at every device that has waiting items, also those put there by another process. */
  releaseAll (): Promise<void>
  /** The same for devices that the identity store knew, unless they were drained since the last sweep or that sweep has not ended. */
  sweep (): Promise<void>
  /** Resolves when no look or drain runs or is due at once. */
  settled (): Promise<void>
  close (): Promise<void>
}

/** Devices looked at or drained at once; one of these places is kept for drains. */
const DEVICES_AT_ONCE = 4
/** How long a start waits for its looks at devices that the identity store knows; they go on behind the open door. */
const START_LOOK_MS = 5_000
/** Blind indexes of device names kept in memory. */
const INDEXES_MAX = 10_000
const ALL_TURNS: readonly Turn[] = ['drain', 'soon', 'later']

interface State extends Required<Pick<ReleaserOptions, 'retryMs'>> {
  options: ReleaserOptions
  work: ReleaseWork
  entries: Map<string, WaitingDevice>
  indexOf: (deviceId: string) => DeviceIndex
  changeCount: number
  queue: ReleaseQueue<WaitingDevice>
  runningCount: number
  /** Of those running, looks. */
  lookCount: number
  sweepCount: number
  /** Looks of the last sweep that have not ended. */
  sweepLeft: Set<WaitingDevice>
  /** Drains wait for the looks of the start. */
  isStarting: boolean
  isClosed: boolean
  isFailing: boolean
  retryTimer: NodeJS.Timeout | undefined
  whenSettled: (() => void)[]
}

export function createReleaser (options: ReleaserOptions): Releaser {
  const { quarantine, pageItems = 1_000, retryMs = 5_000 } = options
  const state: State = {
    options, retryMs, work: { waitingOf: quarantine.waitingOf, releaseItems: options.releaseItems, pageItems, isClosed: () => state.isClosed },
    entries: new Map(), indexOf: rememberIndexes(quarantine.deviceIndexOf, INDEXES_MAX),
    changeCount: 0, queue: createReleaseQueue(), runningCount: 0, lookCount: 0, sweepCount: 0, sweepLeft: new Set(), isStarting: false,
    isClosed: false, isFailing: false, retryTimer: undefined, whenSettled: []
  }
  return {
    enterGate: () => enterGate(state),
    start: () => start(state),
    associationRecorded (deviceIds) {
      state.changeCount++
      if (state.entries.size === 0) return
      for (const deviceId of deviceIds) {
        const entry = state.entries.get(keyOf(state.indexOf(deviceId)))
        if (entry !== undefined) release(state, entry)
      }
    },
    async releaseAll () {
      for (const { device, isKnown } of await quarantine.waitingDevices()) lookAt(state, entryOf(state, device), isKnown ? 'soon' : 'later')
    },
    sweep: () => sweep(state),
    settled: () => settled(state),
    async close () {
      state.isClosed = true
      clearTimeout(state.retryTimer)
      state.queue.clear()
      await settled(state)
    }
  }
}

/** Drains begin when the looks have ended, so that the door knows of every device whether its readings wait. */
async function start (state: State): Promise<void> {
  const devices = await state.options.quarantine.waitingDevices()
  state.isStarting = true
  for (const { device, isKnown } of devices) if (isKnown) lookAt(state, entryOf(state, device), 'soon')
  let timer: NodeJS.Timeout | undefined
  await Promise.race([settled(state), new Promise<void>(resolve => { timer = setTimeout(resolve, START_LOOK_MS) })])
  clearTimeout(timer)
  state.isStarting = false
  for (const { device, isKnown } of devices) if (!isKnown) lookAt(state, entryOf(state, device), 'later')
  pump(state)
}

async function sweep (state: State): Promise<void> {
  if (state.sweepLeft.size > 0) return
  const previous = state.sweepCount++
  for (const { device } of await state.options.quarantine.waitingDevices('known')) {
    const entry = entryOf(state, device)
    if (entry.drainedSweep === previous && !entry.isUnseen) continue
    state.sweepLeft.add(entry)
    lookAt(state, entry, 'soon')
  }
}

function settled (state: State): Promise<void> {
  return state.runningCount === 0 ? Promise.resolve() : new Promise(resolve => { state.whenSettled.push(resolve) })
}

function entryOf ({ entries }: State, device: DeviceIndex): WaitingDevice {
  const key = keyOf(device)
  const known = entries.get(key)
  if (known !== undefined) return known
  const entry = newWaitingDevice(device)
  entries.set(key, entry)
  return entry
}

/** An association may be new: its readings wait until every waiting item of the device was tried. */
function release (state: State, entry: WaitingDevice): void {
  entry.isUnseen = true
  drainSoon(state, entry)
}

function drainSoon (state: State, entry: WaitingDevice): void {
  entry.isReleasing = true
  lookAt(state, entry, 'drain')
}

/** Who runs is judged again at its end. */
function lookAt (state: State, entry: WaitingDevice, turn: Turn): void {
  if (entry.isRunning || state.isClosed) return
  state.queue.add(entry, entry.isReleasing ? 'drain' : turn)
  pump(state)
}

/** Looks leave a place to drains, and wait while something does not answer. */
function pump (state: State): void {
  while (state.runningCount < DEVICES_AT_ONCE) {
    const canLook = state.retryTimer === undefined && state.lookCount < Math.max(1, DEVICES_AT_ONCE - 1)
    const turns = ALL_TURNS.filter(turn => turn === 'drain' ? !state.isStarting : canLook)
    const entry = state.queue.take(turns)
    if (entry === undefined) break
    void runOne(state, entry)
  }
  if (state.runningCount > 0) return
  for (const resolve of state.whenSettled) resolve()
  state.whenSettled = []
}

async function runOne (state: State, entry: WaitingDevice): Promise<void> {
  const isLook = !entry.isReleasing
  state.runningCount++
  if (isLook) state.lookCount++
  entry.isRunning = true
  const hasAnswer = await (isLook ? look(state.work, entry) : drain(state.work, entry)).then(isAnswered => isAnswered && answered(state))
    .catch(error => failed(state, entry, error))
  state.runningCount--
  if (isLook) state.lookCount--
  entry.isRunning = false
  state.sweepLeft.delete(entry)
  // Judged here and not inside the drain: a reading may have been sent to wait while its promise settled (R2).
  if (!hasAnswer) {
    retryLater(state)
    if (!entry.isReleasing) lookAt(state, entry, 'soon')
  } else if (entry.isReleasing && (isLook || !isDrained(entry))) {
    drainSoon(state, entry)
  } else {
    if (!isLook) entry.drainedSweep = state.sweepCount
    end(state, entry)
    if (isLook && entry.isUnseen) lookAt(state, entry, 'soon')
  }
  pump(state)
}

function failed (state: State, entry: WaitingDevice, error: unknown): false {
  // Which pages were done is not certain.
  entry.isUnseen = true
  state.isFailing = true
  state.options.report.failing(error)
  return false
}

function answered (state: State): true {
  if (state.isFailing) state.options.report.fine()
  state.isFailing = false
  return true
}

function end ({ entries }: State, entry: WaitingDevice): void {
  entry.isReleasing = false
  if (entry.leftCount === 0 && entry.visitCount === 0 && isDrained(entry)) entries.delete(keyOf(entry.device))
}

function retryLater (state: State): void {
  if (state.isClosed) return
  state.retryTimer ??= setTimeout(() => {
    state.retryTimer = undefined
    for (const entry of state.entries.values()) if (entry.isReleasing) drainSoon(state, entry)
    pump(state)
  }, state.retryMs).unref()
}

function enterGate (state: State): GateVisit {
  const seenChanges = state.changeCount
  let touched: Set<WaitingDevice> | undefined
  let unseen: Set<WaitingDevice> | undefined
  return {
    mustWait (deviceId, sid) {
      if (state.entries.size === 0) return false
      const entry = state.entries.get(keyOf(state.indexOf(deviceId)))
      if (entry === undefined) return false
      if (!entry.isReleasing && !entry.sids.has(sid)) release(state, entry)
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
        // Where no sid is known, the door takes any for new and need not be closed before (R1).
        if (entry.sids.size > 0) release(state, entry)
        else unseen = (unseen ?? new Set()).add(entry)
      }
    },
    end () {
      for (const entry of touched ?? []) leave(entry)
      for (const entry of unseen ?? []) {
        entry.isUnseen = true
        lookAt(state, entry, 'soon')
      }
      touched = undefined
      unseen = undefined
    }
  }
}
