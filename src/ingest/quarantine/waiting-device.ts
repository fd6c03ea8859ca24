/** A device with waiting items → a look at them, which blocks nobody, or a drain, which publishes them in order. For `release.ts`. */

import type { Sid } from '../../model/reading.ts'
import type { Quarantine } from './quarantine.ts'
import type { DeviceIndex, SealedItem } from './quarantine-item.ts'
import type { WaitingCursor } from './quarantine-rows.ts'
import type { ReleaseItems } from './release-items.ts'
import type { Queued } from './release-queue.ts'

export interface ReleaseWork {
  waitingOf: Quarantine['waitingOf']
  releaseItems: ReleaseItems
  pageItems: number
  isClosed: () => boolean
}

export interface WaitingDevice extends Queued {
  device: DeviceIndex
  isReleasing: boolean
  /** Readings sent into quarantine under a waiting reason since the entry was made. */
  decidedCount: number
  /** `decidedCount` when the last pass began. */
  drainedCount: number
  /** Visits that decided so and have not ended. */
  visitCount: number
  /** Called when no such visit is left. */
  whenIdle: (() => void)[] | undefined
  /** The next pass looks at every waiting item, not only at those newer than the last pass saw. */
  isUnseen: boolean
  seenNumber: number
  /** Waiting items that no association covers, as the passes found. */
  leftCount: number
  /** The sid of the last look's moment, and those under which readings of the device were released: another one means that an association is new. */
  sids: ReadonlySet<Sid>
  isRunning: boolean
  /** The sweep after which it was drained. */
  drainedSweep: number
}

const NO_SIDS: ReadonlySet<Sid> = new Set()

export function newWaitingDevice (device: DeviceIndex): WaitingDevice {
  return {
    device, isReleasing: false, decidedCount: 0, drainedCount: 0, visitCount: 0, whenIdle: undefined, isUnseen: true, seenNumber: 0, leftCount: 0,
    sids: NO_SIDS, isRunning: false, drainedSweep: -1, turn: undefined
  }
}

/** Goes through the waiting items until one can be released: from that tick on the device is releasing. False: something did not answer. */
export async function look ({ waitingOf, releaseItems, pageItems }: ReleaseWork, entry: WaitingDevice): Promise<boolean> {
  entry.drainedCount = entry.decidedCount
  entry.isUnseen = false
  // Of the first page only, and not while readings are on their way into quarantine: an item resolved before its sid came would be passed.
  const isQuiet = entry.visitCount === 0
  let sids: readonly Sid[] | undefined
  let leftCount = 0
  let cursor: WaitingCursor | undefined
  const onReleasable = () => { entry.isReleasing = true }
  for (;;) {
    const items = await waitingOf(entry.device, 0, cursor, pageItems)
    const outcome = items.length === 0 ? undefined : await releaseItems(items, { onReleasable })
    if (entry.isReleasing) {
      entry.isUnseen = true
      return true
    }
    leftCount += outcome?.leftCount ?? 0
    sids ??= outcome?.sids ?? []
    if (outcome?.isUnavailable === true) {
      entry.isUnseen = true
      return false
    }
    if (items.length < pageItems) break
    cursor = placeOf(items.at(-1)!)
  }
  if (isQuiet && isDrained(entry)) addSids(entry, sids)
  entry.leftCount = leftCount
  return true
}

function addSids (entry: WaitingDevice, sids: readonly Sid[]): void {
  if (sids.some(sid => !entry.sids.has(sid))) entry.sids = new Set([...entry.sids, ...sids])
}

function placeOf ({ eventTime, sequence, number }: SealedItem): WaitingCursor { return { eventTime: eventTime!, sequence: sequence!, number } }

/** False: something did not answer, the device stays releasing. */
export async function drain (work: ReleaseWork, entry: WaitingDevice): Promise<boolean> {
  do {
    entry.drainedCount = entry.decidedCount
    await visitsEnded(entry)
    if (work.isClosed() || !(await drainPass(work, entry))) return false
  } while (!isDrained(entry))
  return true
}

/** One pass over the waiting items that no pass has seen, or over all. */
async function drainPass ({ waitingOf, releaseItems, pageItems }: ReleaseWork, entry: WaitingDevice): Promise<boolean> {
  const newerThan = entry.isUnseen ? 0 : entry.seenNumber
  if (entry.isUnseen) entry.leftCount = 0
  entry.isUnseen = false
  let cursor: WaitingCursor | undefined
  for (;;) {
    const items = await waitingOf(entry.device, newerThan, cursor, pageItems)
    const last = items.at(-1)
    if (last === undefined) return true
    const outcome = await releaseItems(items)
    entry.leftCount += outcome.leftCount
    addSids(entry, outcome.sids)
    if (outcome.isUnavailable) {
      entry.isUnseen = true
      return false
    }
    for (const { number } of items) entry.seenNumber = Math.max(entry.seenNumber, number)
    if (items.length < pageItems) return true
    cursor = placeOf(last)
  }
}

/** Nothing was sent to wait since the last pass began, and no association was recorded. */
export function isDrained (entry: WaitingDevice): boolean { return entry.drainedCount === entry.decidedCount && !entry.isUnseen }

/** A visit that sent readings of the device to wait has ended. */
export function leave (entry: WaitingDevice): void {
  entry.visitCount--
  if (entry.visitCount > 0) return
  for (const resolve of entry.whenIdle ?? []) resolve()
  entry.whenIdle = undefined
}

function visitsEnded (entry: WaitingDevice): Promise<void> | undefined {
  return entry.visitCount === 0 ? undefined : new Promise(resolve => { entry.whenIdle = [...entry.whenIdle ?? [], resolve] })
}

export function keyOf ({ version, index }: DeviceIndex): string { return `${version}/${index.toString('base64')}` }

/** Blind indexes, the last `sizeMax` kept. */
export function rememberIndexes (deviceIndexOf: (deviceId: string) => DeviceIndex, sizeMax: number): (deviceId: string) => DeviceIndex {
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
