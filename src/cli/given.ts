/** What the user gave on the command line → a checked value, or one line that says what is wrong with it (wrong use). */

import { readFile } from 'node:fs/promises'
import { ServiceError } from '../model/errors.ts'
import { type EpochMs, epochMs } from '../model/units.ts'

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file', EISDIR: 'it is a directory', EACCES: 'reading it is not permitted', ENOTDIR: 'there is no such file'
}

/** @param name how the message calls it: `FILE`, `--token-file`. @throws ServiceError USAGE */
export async function readGivenFile (path: string, name: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
    throw wrongUse(`${name} cannot be read: ${WHY[code] ?? code}`)
  }
}

/** @throws ServiceError USAGE */
export function parseGivenJson (text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw wrongUse(`${name} is no JSON`)
  }
}

/** @throws ServiceError USAGE when it is no address of a web server */
export function givenUrl (text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw wrongUse('--url must be an address such as http://127.0.0.1:8080')
  return text
}

export interface NumberRange { minimum: number, maximum: number, isWhole?: boolean }

/** @throws ServiceError USAGE */
export function givenNumber (text: string, name: string, { minimum, maximum, isWhole = false }: NumberRange): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= minimum && value <= maximum && (!isWhole || Number.isInteger(value))) return value
  throw wrongUse(`${name} must be a ${isWhole ? 'whole ' : ''}number from ${minimum} to ${maximum}`)
}

export function wrongUse (message: string): ServiceError { return new ServiceError('incorrect', 'USAGE', message) }

/** ISO 8601 with a zone. @throws ServiceError USAGE */
export function timeOf (option: string, text: string): EpochMs {
  const time = /T.*(Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : Number.NaN
  // The 30th of February is taken for the 2nd of March.
  const day = Date.parse(text.slice(0, text.indexOf('T')))
  if (Number.isNaN(time) || Number.isNaN(day) || !new Date(day).toISOString().startsWith(text.slice(0, text.indexOf('T')))) throw wrongUse(`${option} is a time as 2026-03-01T12:00:00Z`)
  return epochMs(time)
}
