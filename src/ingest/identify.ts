/** Decoded records → checked readings by sid, in order of arrival, and what failed. Device and patient ids end here. */

import type { DeviceModels } from '../model/device-model.ts'
import type { FirmwareNumber, Resolution, SidResolver } from '../model/identity.ts'
import { FLAG, type ModelKey, type Reading, type Sid } from '../model/reading.ts'
import { type ReasonCode, WAITING_REASONS } from '../model/reason.ts'
import { type EpochMs, hourOf } from '../model/units.ts'
import { type CheckLimits, createReadingCheck, type FieldFailure, fractionDevices, type ReadingCheck, timeFailure } from './check-reading.ts'
import type { ContentKind, DecodedRecord, RejectedRecord } from './decode/record.ts'

/** Readings of one sid, schema and hour of arrival that may travel as one record of the bus. */
export interface SidGroup {
  sid: Sid
  model: ModelKey
  schemaId: number
  content: ContentKind
  receivedAt: EpochMs
  readings: Reading[]
  /** The records of the readings, in the same order. */
  records: DecodedRecord[]
}

/** A record, or one field of it, that goes to quarantine. A field's record goes on. */
export interface Failure {
  kind: 'record' | 'field'
  record: DecodedRecord | RejectedRecord
  reason: ReasonCode
  /** Name in our schema of the field at fault. */
  field: string | undefined
  /** Of a record whose measured fields failed for different reasons: each of them. */
  fields?: readonly FieldFailure[]
}

export interface Identified { groups: readonly SidGroup[], failures: readonly Failure[] }

/** One request's visit at the gate of `release.ts`, from before its readings are identified until those that wait are durable. */
export interface GateVisit {
  /** True while older readings of the device are being released: this one follows them. */
  mustWait (deviceId: string, sid: Sid): boolean
  /** Told of a reading that will stand in quarantine under a waiting reason, in the tick in which that is decided. */
  willWait (deviceId: string, reason: ReasonCode): void
  end (): void
}

export interface IdentifyDeps {
  resolve: SidResolver
  firmwareNumber: FirmwareNumber
  models: DeviceModels
  checkLimits: CheckLimits
  /** Told of each reading whose firmware the model's registry does not list. @param firmware its number */
  onUnknownFirmware?: (model: ModelKey, firmware: number) => void
}

/** Of records out of quarantine, which came in several requests. */
export interface Arrivals {
  arrivedAt: readonly EpochMs[]
  /** The clock by which their times are checked. Absent: when each arrived. */
  judgedAt?: EpochMs | undefined
  /** Of `fractionsByBody`. */
  areFractions: readonly boolean[]
}

/** Gives a promise only when a question was answered by one.
 *  @param arrived a time: all of them are one request's · @param visit absent when what waited is released */
export type Identify = (records: readonly DecodedRecord[], arrived: EpochMs | Arrivals, visit?: GateVisit) => Identified | Promise<Identified>

interface Answered { records: readonly DecodedRecord[], resolutions: Resolution[], firmwares: number[] }

const UNAVAILABLE: Resolution = { reason: 'linkage-unavailable' }

export function createIdentify (deps: IdentifyDeps): Identify {
  const checks = new Map<ModelKey, ReadingCheck>()
  for (const [key, model] of deps.models) checks.set(key, createReadingCheck(model, deps.checkLimits))

  return function identify (records, arrived, visit) {
    const sort = (answered: Answered) => sortRecords(answered, arrived, visit)
    const resolutions = resolveAll(records, deps.resolve)
    if (resolutions instanceof Promise) return resolutions.then(all => numberAll(records, all, deps.firmwareNumber)).then(sort)
    const answered = numberAll(records, resolutions, deps.firmwareNumber)
    return answered instanceof Promise ? answered.then(sort) : sort(answered)
  }

  function sortRecords ({ records, resolutions, firmwares }: Answered, request: EpochMs | Arrivals, visit: GateVisit | undefined): Identified {
    const groups: SidGroup[] = []
    const latest = new Map<Sid, SidGroup>()
    const failures: Failure[] = []
    const circumstances = typeof request === 'number' ? ofOneBody(records, request) : ofBodies(request)
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      const resolution = resolutions[i]!
      const arrived = circumstances.arrivedAt(i)
      const judged = circumstances.judgedAt(i)
      const isBehind = resolution.sid !== undefined && visit?.mustWait(record.deviceId, resolution.sid) === true
      const reason = failureOf(record, resolution, judged)
      if (reason !== undefined) {
        failures.push({ kind: 'record', record, reason, field: undefined })
        if (WAITING_REASONS.has(reason)) visit?.willWait(record.deviceId, reason)
        continue
      }
      const checked = checks.get(resolution.model!)!(record, judged, circumstances.isFraction(i))
      if (!checked.ok) {
        const isMixed = checked.reason === 'no-channel-left'
        failures.push({ kind: 'record', record, reason: checked.reason, field: isMixed ? undefined : checked.failures[0]?.field, ...(isMixed ? { fields: checked.failures } : {}) })
        continue
      }
      // Only what could be stored waits behind others: the sender of the rest has something to put right.
      if (isBehind) {
        failures.push({ kind: 'record', record, reason: 'behind-waiting', field: undefined })
        visit?.willWait(record.deviceId, 'behind-waiting')
        continue
      }
      for (const failure of checked.failures) failures.push({ kind: 'field', record, reason: failure.reason, field: failure.field })
      checked.reading.firmware = firmwares[i]!
      if ((checked.reading.flags & FLAG['firmware-unknown']) !== 0) deps.onUnknownFirmware?.(resolution.model!, firmwares[i]!)
      const group = groupOf(latest, groups, resolution.sid!, resolution.model!, record, arrived)
      group.readings.push(checked.reading)
      group.records.push(record)
    }
    return { groups, failures }
  }

  /** Known device, then time, then association (fhir-modelling.md §7, order). */
  function failureOf (record: DecodedRecord, resolution: Resolution, judged: EpochMs): ReasonCode | undefined {
    if (resolution.reason === undefined) return checks.has(resolution.model) ? undefined : 'model-unknown'
    if (resolution.reason === 'device-unknown') return resolution.reason
    const madeSince = resolution.model === undefined ? undefined : deps.models.get(resolution.model)?.madeSince
    return timeFailure(record.takenAt, judged, deps.checkLimits, madeSince === undefined ? 0 : Date.parse(madeSince)) ?? resolution.reason
  }
}

/** Of the record at a place: when it came, by which clock it is judged, whether its device sends fractions. */
interface Circumstances { arrivedAt: (place: number) => EpochMs, judgedAt: (place: number) => EpochMs, isFraction: (place: number) => boolean }

function ofOneBody (records: readonly DecodedRecord[], arrivedAt: EpochMs): Circumstances {
  const fractions = fractionDevices(records)
  return { arrivedAt: () => arrivedAt, judgedAt: () => arrivedAt, isFraction: place => fractions.has(records[place]!.deviceId) }
}

function ofBodies ({ arrivedAt, judgedAt, areFractions }: Arrivals): Circumstances {
  return { arrivedAt: place => arrivedAt[place]!, judgedAt: place => judgedAt ?? arrivedAt[place]!, isFraction: place => areFractions[place]! }
}

/** The sid's latest group when the record fits it, so that the order of a sid's readings is kept over its groups. */
function groupOf (latest: Map<Sid, SidGroup>, groups: SidGroup[], sid: Sid, model: ModelKey, record: DecodedRecord, arrived: EpochMs): SidGroup {
  const last = latest.get(sid)
  const fits = last !== undefined && last.schemaId === record.schemaId && last.content === record.content &&
    (last.receivedAt === arrived || hourOf(last.receivedAt) === hourOf(arrived))
  if (fits) return last
  const group: SidGroup = { sid, model, schemaId: record.schemaId, content: record.content, receivedAt: arrived, readings: [], records: [] }
  latest.set(sid, group)
  groups.push(group)
  return group
}

function resolveAll (records: readonly DecodedRecord[], resolve: SidResolver): Resolution[] | Promise<Resolution[]> {
  const resolutions: Resolution[] = []
  const coming: Promise<void>[] = []
  for (let i = 0; i < records.length; i++) {
    const { deviceId, takenAt, patientId } = records[i]!
    const answer = resolve(deviceId, takenAt, patientId)
    if (answer instanceof Promise) {
      resolutions.push(UNAVAILABLE)
      coming.push(answer.then(late => { resolutions[i] = late }, () => {}))
    } else {
      resolutions.push(answer)
    }
  }
  return coming.length === 0 ? resolutions : Promise.all(coming).then(() => resolutions)
}

/** Numbers of the firmware texts of readings that have a sid. One that cannot be learnt makes its reading wait: none may lose its provenance. */
function numberAll (records: readonly DecodedRecord[], resolutions: Resolution[], firmwareNumber: FirmwareNumber): Answered | Promise<Answered> {
  const firmwares: number[] = []
  const coming: Promise<void>[] = []
  for (let i = 0; i < records.length; i++) {
    const text = records[i]!.firmware
    const number = text === undefined || resolutions[i]!.sid === undefined ? 0 : firmwareNumber(text)
    if (typeof number === 'number') {
      firmwares.push(number)
    } else {
      firmwares.push(0)
      coming.push(number.then(late => { firmwares[i] = late }, () => { resolutions[i] = UNAVAILABLE }))
    }
  }
  const answered = { records, resolutions, firmwares }
  return coming.length === 0 ? answered : Promise.all(coming).then(() => answered)
}
