/** Original bytes out of the archive → readings as the rules of today give them. Device ids end here, as at the door. */

import { ServiceError } from '../model/errors.ts'
import type { SidResolver } from '../model/identity.ts'
import type { EpochMs } from '../model/units.ts'
import { fractionsByBody } from './check-reading.ts'
import type { DecodedRecord, DecodeLimits } from './decode/record.ts'
import type { Schemas } from './decode/schemas.ts'
import { createIdentify, type IdentifyDeps, type SidGroup } from './identify.ts'
import { wasStored } from './quarantine/quarantine-item.ts'
import { decodeItem } from './quarantine/release-items.ts'
import { type RawFrame, recordsOfFrame } from './raw-frame.ts'
import { type Origin, sourceText } from './source-position.ts'

/** Records of one append with their originals in clear, one behind the other. */
export interface RawOriginals { frame: RawFrame, originals: Buffer }

export interface ReadAgain {
  /** Those taken within the span, in the order of their bytes for each sid. */
  groups: readonly SidGroup[]
  /** Of the span: nobody wears their device at their time any more. */
  unassigned: number
  /** Of the span, or of an unknown time: the rules of today do not take them. */
  refused: number
}

export interface ReadAgainDeps extends Omit<IdentifyDeps, 'onUnknownFirmware'> {
  schemas: Schemas
  now: () => EpochMs
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE when the identity store does not answer */
export type ReadOriginals = (all: readonly RawOriginals[], span: { from: EpochMs, to: EpochMs }) => Promise<ReadAgain>

/** What was stored kept every limit of its time. */
const NO_LIMITS: DecodeLimits = { recordsMax: Number.MAX_SAFE_INTEGER, recordBytesMax: Number.MAX_SAFE_INTEGER, depthMax: 1_000 }
const NOBODYS: ReadonlySet<string> = new Set(['not-associated', 'device-unknown'])

interface Opened { record: DecodedRecord, body: string | undefined, arrivedAt: EpochMs }

export function createReadAgain ({ schemas, now, ...deps }: ReadAgainDeps): ReadOriginals {
  // The patient that a payload names was compared at the door; what was corrected since outweighs it (decision 0008).
  const resolve: SidResolver = (deviceId, takenAt) => deps.resolve(deviceId, takenAt)
  const identify = createIdentify({ ...deps, resolve })
  return async (all, { from, to }) => {
    const { opened, unread } = await openAll(all, schemas)
    // Of whole bodies, so that a border of the span changes nothing.
    const areFractions = fractionsByBody(opened.map(({ record }) => record), opened.map(({ body }) => body))
    const places = opened.flatMap(({ record: { takenAt } }, place) => takenAt >= from && takenAt < to ? [place] : [])
    const { groups, failures } = await identify(places.map(place => opened[place]!.record), {
      arrivedAt: places.map(place => opened[place]!.arrivedAt), judgedAt: now(), areFractions: places.map(place => areFractions[place]!)
    })
    const reasons = failures.filter(({ kind }) => kind === 'record').map(({ reason }) => reason)
    if (reasons.includes('linkage-unavailable')) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'the linkage store does not answer')
    const unassigned = reasons.filter(reason => NOBODYS.has(reason)).length
    return { groups, unassigned, refused: unread + reasons.length - unassigned }
  }
}

async function openAll (all: readonly RawOriginals[], schemas: Schemas): Promise<{ opened: Opened[], unread: number }> {
  const opened: Opened[] = []
  let unread = 0
  for (const { frame, originals } of all) {
    const origins = originsOf(frame)
    for (const [place, bytes] of recordsOfFrame(frame, originals).entries()) {
      const origin = origins[place] ?? frame.origins[0]
      const source = origin === undefined ? '' : sourceText(origin)
      const isReturned = wasStored({ source })
      const decoded = await decodeItem({ content: frame.content, schemaId: frame.schemaId, source }, bytes, { limits: NO_LIMITS, schemas })
      const record = decoded.unreadable === undefined ? decoded.records[0] : undefined
      if (record === undefined) unread++
      else opened.push({ record, body: isReturned ? undefined : source, arrivedAt: frame.receivedAt })
    }
  }
  return { opened, unread }
}

/** Of each record; empty where its places are not known. */
function originsOf ({ origins, runs }: RawFrame): Origin[] {
  return runs.flatMap(({ origin, count }) => Array<Origin>(count).fill(origins[origin]!))
}
