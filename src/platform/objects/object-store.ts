/** The seam to whoever keeps whole objects of bytes: takes a name and its bytes once, gives them back for ever after. */

import { ServiceError } from '../../model/errors.ts'

/** Below it nothing can be removed through this seam, by nobody; where the store knows locks, it is told to refuse as well. */
export const KEPT = 'raw/'
/** Of one object; a store holds it whole in memory. */
export const OBJECT_BYTES_MAX = 134_217_728

/** Parts with `/` between; one case only, because some file systems know no other. */
const NAME = /^(?!.{513})(?:[0-9a-z][0-9a-z._-]{0,126}\/){0,8}[0-9a-z][0-9a-z._-]{0,126}$/

export interface ObjectEntry { name: string, bytes: number }

/** Every object is written once: nothing stands under its name, or all of it. A store may refuse a name that goes on behind the name of another object. */
export interface ObjectStore {
  readonly kind: 'disk' | 's3'
  /** Resolves once the object survives a loss of power. Of several at once for one name a single one wins, whole.
   *  @throws ServiceError OBJECT_EXISTS when the name is taken: what stands there stays as it is and is durable; OBJECT_NAME, OBJECT_TOO_LARGE; unavailable
   *  STORE_UNAVAILABLE: the object may stand there or not, so put it again under the same name */
  put (name: string, bytes: Uint8Array): Promise<void>
  /** The whole object; the bytes are the caller's. @throws ServiceError OBJECT_MISSING, OBJECT_NAME, OBJECT_TOO_LARGE; unavailable STORE_UNAVAILABLE */
  get (name: string): Promise<Buffer>
  /** Ascending by the bytes of the name; what is put or removed meanwhile may be left out. @param prefix empty, or parts that end with `/`
   *  @throws ServiceError OBJECT_NAME; unavailable STORE_UNAVAILABLE */
  list (prefix: string): AsyncIterable<ObjectEntry>
  /** Resolves once the name is free, also when it was. @throws ServiceError OBJECT_KEPT for a name below `raw/`, OBJECT_NAME; unavailable STORE_UNAVAILABLE */
  remove (name: string): Promise<void>
}

/** A store that is opened to be read: nothing in it is made, tried or removed. */
export type ObjectReader = Pick<ObjectStore, 'kind' | 'get' | 'list'>

/** @throws ServiceError OBJECT_NAME */
export function assertObjectName (name: string): void {
  if (!NAME.test(name)) throw nameError()
}

/** @throws ServiceError OBJECT_NAME */
export function assertPrefix (prefix: string): void {
  if (prefix !== '' && !(prefix.endsWith('/') && NAME.test(prefix.slice(0, -1)))) throw nameError()
}

/** @throws ServiceError OBJECT_TOO_LARGE */
export function assertObjectBytes (bytes: number): void {
  if (bytes > OBJECT_BYTES_MAX) throw new ServiceError('incorrect', 'OBJECT_TOO_LARGE', `an object has more than ${OBJECT_BYTES_MAX} bytes`)
}

/** @throws ServiceError OBJECT_KEPT */
export function assertRemovable (name: string): void {
  if (name.startsWith(KEPT)) throw new ServiceError('forbidden', 'OBJECT_KEPT', `objects below ${KEPT} are kept: nothing removes them`)
}

export function objectExists (): ServiceError {
  return new ServiceError('conflict', 'OBJECT_EXISTS', 'an object of this name stands already; it was left as it is')
}

export function objectMissing (): ServiceError {
  return new ServiceError('not-found', 'OBJECT_MISSING', 'the store has no object of this name')
}

function nameError (): ServiceError {
  return new ServiceError('incorrect', 'OBJECT_NAME', 'the name of an object is 1 to 9 parts of a-z, 0-9, dot, dash and underline, each beginning with a letter or figure')
}
