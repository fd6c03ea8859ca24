/** A decoded record and its device model → a reading with soft flags and failed fields, or why the record cannot be kept:
 *  of fhir-modelling.md §7 what one reading alone can tell. Pure. */

import type { Channel, DeviceModel } from '../model/device-model.ts'
import { FLAG, type Reading } from '../model/reading.ts'
import type { ReasonCode } from '../model/reason.ts'
import { softLimitFlags } from '../model/soft-limits.ts'
import { type EpochMs, millivolt, percent } from '../model/units.ts'
import type { DecodedRecord, SentChannel } from './decode/record.ts'

/** Written to each quarantined item: raised when a rule here changes what is kept. */
export const RULE_VERSION = 1

/** `field` is a name of our schema (`spo2`, `channels[2]`), never text from the device. */
export interface FieldFailure { field: string, reason: ReasonCode }

export type Checked =
  | { ok: true, reading: Reading, failures: readonly FieldFailure[] }
  | { ok: false, reason: ReasonCode, failures: readonly FieldFailure[] }

/** The reading's `firmware` is 0: its number is the caller's to set.
 *  @param now arrival of the request · @param isFraction see {@link fractionDevices} */
export type ReadingCheck = (record: DecodedRecord, now: EpochMs, isFraction: boolean) => Checked

export interface CheckLimits {
  /** How far ahead of the server a reading may lie, in ms. */
  futureMaxMs: number
}

export const CHECK_LIMITS: CheckLimits = { futureMaxMs: 5 * 60_000 }

const YEAR_2000 = Date.UTC(2000, 0, 1)
const NO_FAILURES: readonly FieldFailure[] = []

/** `undefined` when the time is believable. @param madeSince 0 when the model does not say */
export function timeFailure (takenAt: EpochMs, now: EpochMs, limits: CheckLimits, madeSince = 0): ReasonCode | undefined {
  if (takenAt > now + limits.futureMaxMs) return 'time-future'
  return takenAt < YEAR_2000 || takenAt < madeSince ? 'time-implausible' : undefined
}

/** Devices that send SpO2 as a fraction: every SpO2 value of theirs in the body lies in (0, 1]. One value is enough, since no living
 *  tissue shows 1 %; zeros and what is no finite number tell nothing and are left out. */
export function fractionDevices (records: readonly DecodedRecord[]): ReadonlySet<string> {
  if (!records.some(hasFraction)) return NO_DEVICES
  const devices = new Map<string, boolean>()
  for (const record of records) {
    for (const value of spo2Values(record)) {
      if (value === 0 || !Number.isFinite(value)) continue
      devices.set(record.deviceId, devices.get(record.deviceId) !== false && isFraction(value))
    }
  }
  return new Set([...devices].filter(([, areFractions]) => areFractions).map(([deviceId]) => deviceId))
}

/** Of records that came in several bodies, each of which is judged by itself: whether the record's device sends fractions there.
 *  @param bodies of each record, what tells its body from the others; `undefined`: it was judged when it was stored, and stood */
export function fractionsByBody (records: readonly DecodedRecord[], bodies: readonly (string | undefined)[]): boolean[] {
  const devices = new Map([...Map.groupBy(records, (_, i) => bodies[i])].map(([body, fellows]) => [body, body === undefined ? NO_DEVICES : fractionDevices(fellows)]))
  return records.map(({ deviceId }, i) => devices.get(bodies[i])!.has(deviceId))
}

const NO_DEVICES: ReadonlySet<string> = new Set()
const isFraction = (value: number) => value > 0 && value <= 1

function hasFraction ({ spo2, channels }: DecodedRecord): boolean {
  if (spo2 !== undefined && isFraction(spo2)) return true
  return channels?.some(channel => channel.kind === 'spo2' && isFraction(channel.value)) ?? false
}

function spo2Values ({ spo2, channels }: DecodedRecord): readonly number[] {
  const ofModel = spo2 === undefined ? [] : [spo2]
  return channels === undefined ? ofModel : [...ofModel, ...channels.filter(channel => channel.kind === 'spo2').map(channel => channel.value)]
}

/** A model made ready for checking. */
interface Compiled {
  model: DeviceModel
  /** Positions of the metrics. */
  positions: ReadonlyMap<string, number>
  /** Hard limits by position: the technical range, and what the kind of quantity can be at all. */
  limits: readonly { low: number, high: number }[]
  spo2Position: number | undefined
  tissuePosition: number | undefined
  madeSince: number
  firmwares: ReadonlySet<string> | undefined
  minimumQuality: number
  empty: readonly (number | undefined)[]
}

/** What is gathered while the fields of one record are looked at. */
interface Sight {
  values: (number | undefined)[]
  flags: number
  failures: FieldFailure[] | undefined
  /** Measured fields that are good, documented zeros among them. */
  goodCount: number
  isFraction: boolean
}

/** The check of one device model, made once and used for every reading of it. */
export function createReadingCheck (model: DeviceModel, limits: CheckLimits): ReadingCheck {
  const compiled = compile(model)
  return (record, now, areFractions) => {
    const reason = timeFailure(record.takenAt, now, limits, compiled.madeSince)
    return reason === undefined ? checkFields(compiled, record, areFractions) : { ok: false, reason, failures: NO_FAILURES }
  }
}

function compile (model: DeviceModel): Compiled {
  const positions = new Map(model.channels.map((channel, position) => [channel.metric, position]))
  const positionOf = (metric: string | undefined) => metric === undefined ? undefined : positions.get(metric)
  return {
    model,
    positions,
    limits: model.channels.map(hardLimits),
    spo2Position: positionOf(model.v1?.spo2),
    tissuePosition: positionOf(model.v1?.local_tissue_o2),
    madeSince: model.madeSince === undefined ? 0 : Date.parse(model.madeSince),
    firmwares: model.firmware === undefined ? undefined : new Set(model.firmware),
    minimumQuality: Math.max(...model.channels.map(channel => channel.minimumQuality ?? 0)),
    empty: model.channels.map(() => undefined)
  }
}

/** Only changes from a start may be negative; a percentage ends at 100. */
function hardLimits ({ kind, technicalRange }: Channel): { low: number, high: number } {
  const isChange = kind === 'o2hb-relative' || kind === 'hhb-relative'
  const isPercentage = kind === 'spo2' || kind === 'tissue-sto2'
  return {
    low: isChange ? technicalRange.low : Math.max(0, technicalRange.low),
    high: kind === 'tissue-o2-relative-index' ? Number.MAX_VALUE : isPercentage ? Math.min(100, technicalRange.high) : technicalRange.high
  }
}

function checkFields (compiled: Compiled, record: DecodedRecord, areFractions: boolean): Checked {
  const sight: Sight = { values: compiled.empty.slice(), flags: 0, failures: undefined, goodCount: 0, isFraction: areFractions }
  if (record.spo2 !== undefined) lookAtV1(compiled, sight, 'spo2', compiled.spo2Position, record.spo2)
  if (record.tissueO2 !== undefined) lookAtV1(compiled, sight, 'local_tissue_o2', compiled.tissuePosition, record.tissueO2)
  if (record.channels !== undefined && !lookAtChannels(compiled, sight, record.channels, record)) {
    return { ok: false, reason: 'duplicate-key', failures: NO_FAILURES }
  }
  if (sight.failures !== undefined && sight.goodCount === 0) return { ok: false, reason: reasonOf(sight.failures), failures: sight.failures }
  const battery = lookAtBattery(compiled, sight, record.battery)
  const quality = lookAtQuality(compiled, sight, record.quality)
  if (isUnknownFirmware(compiled, record.firmware)) sight.flags |= FLAG['firmware-unknown']
  return {
    ok: true,
    reading: {
      takenAt: record.takenAt, sequence: record.sequence, values: sight.values, battery: battery === undefined ? undefined : millivolt(battery),
      quality: quality === undefined ? undefined : percent(quality), firmware: 0, flags: sight.flags
    },
    failures: sight.failures ?? NO_FAILURES
  }
}

function lookAtV1 (compiled: Compiled, sight: Sight, field: string, position: number | undefined, value: number): void {
  if (position !== undefined) lookAtValue(compiled, sight, field, position, value)
  else fail(sight, field, Number.isFinite(value) ? 'unit-unknown' : 'not-a-number')
}

/** False when a channel stands there twice, also as a value that the model names: which is meant is not certain. */
function lookAtChannels (compiled: Compiled, sight: Sight, channels: readonly SentChannel[], { spo2, tissueO2 }: DecodedRecord): boolean {
  let seen = 0
  if (spo2 !== undefined && compiled.spo2Position !== undefined) seen |= 1 << compiled.spo2Position
  if (tissueO2 !== undefined && compiled.tissuePosition !== undefined) seen |= 1 << compiled.tissuePosition
  for (let place = 0; place < channels.length; place++) {
    const sent = channels[place]!
    const position = compiled.positions.get(sent.metric)
    if (position === undefined) { fail(sight, `channels[${place}]`, 'channel-unknown'); continue }
    if ((seen & (1 << position)) !== 0) return false
    seen |= 1 << position
    const channel = compiled.model.channels[position]!
    if (sent.unit === channel.unit && sent.kind === channel.kind) lookAtValue(compiled, sight, `channels[${place}]`, position, sent.value)
    else fail(sight, `channels[${place}]`, 'unit-mismatch')
  }
  return true
}

function lookAtValue (compiled: Compiled, sight: Sight, field: string, position: number, value: number): void {
  const channel = compiled.model.channels[position]!
  if (value === 0 && channel.zeroMeans === 'no-reading') {
    sight.goodCount++
    return
  }
  const { low, high } = compiled.limits[position]!
  const reason = !Number.isFinite(value) ? 'not-a-number'
    : value < low || value > high ? 'range-hard'
      : sight.isFraction && channel.kind === 'spo2' && isFraction(value) ? 'fraction-as-percent' : undefined
  if (reason !== undefined) {
    fail(sight, field, reason)
    return
  }
  sight.flags |= softLimitFlags(channel, value)
  // −0 becomes 0.
  sight.values[position] = value + 0
  sight.goodCount++
}

function lookAtBattery ({ model }: Compiled, sight: Sight, battery: number | undefined): number | undefined {
  if (battery === undefined || (battery >= model.batteryRange.low && battery <= model.batteryRange.high)) return battery
  fail(sight, 'battery_mv', Number.isFinite(battery) ? 'range-hard' : 'not-a-number')
  return undefined
}

function lookAtQuality ({ minimumQuality }: Compiled, sight: Sight, quality: number | undefined): number | undefined {
  if (quality === undefined) return undefined
  if (quality >= 0 && quality <= 100) {
    if (quality < minimumQuality) sight.flags |= FLAG['low-quality']
    return quality
  }
  sight.flags |= FLAG['quality-unknown']
  fail(sight, 'signal_quality', Number.isFinite(quality) ? 'range-hard' : 'not-a-number')
  return undefined
}

function isUnknownFirmware ({ firmwares }: Compiled, firmware: string | undefined): boolean {
  return firmwares !== undefined && firmware !== undefined && firmware !== '' && !firmwares.has(firmware)
}

function fail (sight: Sight, field: string, reason: ReasonCode): void {
  sight.failures ??= []
  sight.failures.push({ field, reason })
}

/** The one reason all fields failed for, or that nothing is left. */
function reasonOf (failures: readonly FieldFailure[]): ReasonCode {
  const first = failures[0]!.reason
  return failures.every(failure => failure.reason === first) ? first : 'no-channel-left'
}
