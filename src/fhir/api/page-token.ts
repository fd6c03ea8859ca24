/** Place in a paged search ↔ opaque token, signed and bound to the search, the caller and what the caller may see (smart.md §6 rule 5). */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { ServiceError } from '../../model/errors.ts'
import { epochMs, type EpochMs } from '../../model/units.ts'

export interface PagePlace {
  /** Upper bound on issue time, set at the first page. */
  asOf: EpochMs
  /** When the first page was asked for: what `ap` goes by. */
  now: EpochMs
  after: readonly (string | number)[]
}

/** @param boundTo everything the token may not be used without: search, subject, client, grants; the same at reading */
export function writePageToken (place: PagePlace, boundTo: string, key: Uint8Array): string {
  const payload = Buffer.from(JSON.stringify([place.asOf, place.now, ...place.after])).toString('base64url')
  return `${payload}.${sign(payload, boundTo, key).toString('base64url')}`
}

/** @throws ServiceError incorrect FHIR_PARAMETER when it was changed, or belongs to another search or caller */
export function readPageToken (token: string, boundTo: string, key: Uint8Array): PagePlace {
  const [payload, mac, ...more] = token.split('.')
  const wanted = sign(payload ?? '', boundTo, key)
  const given = Buffer.from(mac ?? '', 'base64url')
  if (more.length > 0 || given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new ServiceError('incorrect', 'FHIR_PARAMETER', '_page belongs to another search or another access: start the search again')
  }
  const [asOf, now, ...after] = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString('utf8')) as [number, number, ...(string | number)[]]
  return { asOf: epochMs(asOf), now: epochMs(now), after }
}

function sign (payload: string, boundTo: string, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(payload).update('\n').update(boundTo).digest()
}
