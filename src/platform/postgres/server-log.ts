/** What PostgreSQL says on standard error -> the lines of it that may be kept, in a file: what the server does, and each denial; no value of a row. */

import { closeSync, openSync, writeSync } from 'node:fs'
import type { Socket } from 'node:net'

/**
 * Settings that the filter relies on. The primary message of an error may hold a value (`invalid input syntax: "…"`), so errors are
 * told by their SQLSTATE, which stands in front; details, statements and contexts are not written at all.
 */
export const LOG_SETTINGS = {
  log_line_prefix: '%m [%p] %e %q%u@%d ',
  log_min_messages: 'error',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off'
} as const

const LINE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] ([0-9A-Z]{5}) (?:\S*@\S* )?([A-Z]+): /
const SEVERITIES = new Set(['LOG', 'FATAL', 'PANIC'])
/** Privilege missing, wrong login or password, no such database: their messages name roles and objects only. */
const DENIAL = /^(?:42501|28...|3D000)$/
/** No denial is longer; of a longer line the rest is dropped. */
const LINE_UNITS_MAX = 4_096

/**
 * Takes text in pieces, gives whole lines (with their ends) that may be kept. Before the first line of the server proper nobody can have
 * logged in: why it does not start is kept as it is. Later a line of another form belongs to a message that may hold a value.
 */
export function createLogFilter (): (piece: string) => string {
  let rest = ''
  let isRunning = false
  return piece => {
    const lines = (rest + piece).split('\n')
    rest = lines.pop()!.slice(0, LINE_UNITS_MAX)
    let kept = ''
    for (const line of lines) {
      const [, state, severity] = LINE.exec(line) ?? []
      if (severity !== undefined) isRunning = true
      const mayBeKept = severity === undefined ? !isRunning : SEVERITIES.has(severity) || (severity === 'ERROR' && DENIAL.test(state!))
      if (mayBeKept) kept += `${line.slice(0, LINE_UNITS_MAX)}\n`
    }
    return kept
  }
}

/**
 * Opens `file` (mode 640, appended to); then takes the standard error of the server and keeps of it what may be kept. Resolves when the
 * last process of the server has closed it. Does not keep this process running; when this is killed the server goes on, unheard.
 */
export function openServerLog (file: string): (from: Socket) => Promise<void> {
  const descriptor = openSync(file, 'a', 0o640)
  return async from => {
    const filter = createLogFilter()
    from.setEncoding('utf8')
    from.unref()
    from.on('error', () => {})
    from.on('data', (piece: string) => {
      const kept = filter(piece)
      if (kept === '') return
      try {
        writeSync(descriptor, kept)
      } catch {
        // A full disk must not end us: the stores meet it too, and say so.
      }
    })
    await new Promise(resolve => { from.once('close', resolve) })
    closeSync(descriptor)
  }
}
