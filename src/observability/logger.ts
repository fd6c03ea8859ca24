/** Logs as JSON lines on standard error. Only named fields get through: what is not on the list is dropped, not masked. */

import { pino } from 'pino'
import { ServiceError } from '../model/errors.ts'

/** Everything a log line may say; no id of a person, device or series is here (privacy.md §14). */
export interface LogFields {
  event?: string
  route?: string
  method?: string
  status?: number
  durationMs?: number
  errorId?: string
  code?: string
  category?: string
  reason?: string
  count?: number
  store?: string
  topic?: string
  partition?: number
  offset?: number
  writer?: number
  destination?: string
  port?: number
  attempt?: number
  version?: string
  detail?: string
  stack?: string
}

const FIELDS: ReadonlySet<string> = new Set([
  'event', 'route', 'method', 'status', 'durationMs', 'errorId', 'code', 'category', 'reason', 'count', 'store', 'topic', 'partition',
  'offset', 'writer', 'destination', 'port', 'attempt', 'version', 'detail', 'stack'
] satisfies (keyof LogFields)[])

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Writes one line; `message` is fixed text of the code, never text from outside. */
export type Logger = Readonly<Record<LogLevel, (message: string, fields?: LogFields) => void>>

/** @param write receives whole lines */
export function createLogger (level: LogLevel, write: (line: string) => void): Logger {
  const inner = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: label => ({ level: label }) } }, { write })
  const line = (at: LogLevel) => (message: string, fields: LogFields = {}) => { inner[at](onlyNamed(fields), message) }
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}

/** What a log says of an error. */
export function errorFields (error: unknown): LogFields {
  return {
    ...(error instanceof ServiceError ? { code: error.code } : {}),
    ...(error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {})
  }
}

function onlyNamed (fields: LogFields): LogFields {
  return Object.fromEntries(Object.entries(fields).filter(([name, value]) => FIELDS.has(name) && value !== undefined))
}
