/** The refusal of a valid resource that breaks a rule of the product, and small readers that refuse: 422 with where and why. */

import { ServiceError } from '../../model/errors.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { type Span, span } from '../../stores/linkage/span.ts'

/** @param at path inside the resource, e.g. `DeviceUseStatement.timingPeriod.start` */
export function ruleBroken (at: string, why: string): ServiceError {
  return new ServiceError('incorrect', 'FHIR_BUSINESS_RULE', `${at}: ${why}`)
}

/** What both PostgreSQL and JavaScript can write, and nothing older than anybody who could be measured. */
const EARLIEST = Date.UTC(1900, 0, 1)
const LATEST = Date.UTC(9999, 11, 30)
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

/** A dateTime that names one moment, to the ms. @throws ServiceError FHIR_BUSINESS_RULE */
export function readInstant (at: string, value: string): EpochMs {
  const time = INSTANT.test(value) ? Date.parse(value) : Number.NaN
  if (!(time >= EARLIEST && time <= LATEST) || !isCalendarDay(value)) throw ruleBroken(at, 'give date, time and zone: a day or a month has no certain begin')
  return epochMs(time)
}

/** JavaScript reads 30 February as 2 March. */
function isCalendarDay (value: string): boolean {
  const [year, month, day] = value.slice(0, 10).split('-').map(Number) as [number, number, number]
  return new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day
}

/** A Period as half-open [start, end); an absent end is open. @throws ServiceError FHIR_BUSINESS_RULE */
export function readPeriod (at: string, period: { start?: string, end?: string } | undefined): Span {
  if (period?.start === undefined) throw ruleBroken(`${at}.start`, 'a period needs its start')
  const from = readInstant(`${at}.start`, period.start)
  const until = period.end === undefined ? undefined : readInstant(`${at}.end`, period.end)
  if (until !== undefined && until <= from) throw ruleBroken(`${at}.end`, 'the end must lie after the start')
  return span(from, until)
}

const REFERENCE = /^([A-Z][A-Za-z]+)\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/([A-Za-z0-9\-.]{1,64}))?$/

/** What a literal reference on this server names; `undefined` for any other. */
export function readReference (reference: string | undefined, baseUrl: string): { type: string, id: string, versionId?: string } | undefined {
  const local = reference?.startsWith(`${baseUrl}/`) ? reference.slice(baseUrl.length + 1) : reference
  const [, type, id, versionId] = REFERENCE.exec(local ?? '') ?? []
  return type === undefined || id === undefined ? undefined : { type, id, ...(versionId === undefined ? {} : { versionId }) }
}

/** Id of the resource of `type` that a reference names. @throws ServiceError FHIR_BUSINESS_RULE for anything else */
export function readTarget (at: string, reference: string | undefined, type: string, baseUrl: string): string {
  const target = readReference(reference, baseUrl)
  if (target?.type !== type) throw ruleBroken(at, `must be a reference to a ${type} on this server`)
  return target.id
}
