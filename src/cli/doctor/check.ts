/** Checks → findings, in their order; what a check throws is a finding as well. */

import { ServiceError } from '../../model/errors.ts'

/** `note` is worth knowing and no fault. */
export type Verdict = 'ok' | 'note' | 'wrong'

export interface Finding {
  verdict: Verdict
  /** What is so: no secret, no patient data. */
  message: string
  /** What to do; with everything that is wrong. */
  todo?: string
}

export interface Check {
  name: string
  run (): Promise<Finding>
}

export type NamedFinding = Finding & { name: string }

export const ok = (message: string): Finding => ({ verdict: 'ok', message })
export const note = (message: string, todo?: string): Finding => ({ verdict: 'note', message, ...(todo === undefined ? {} : { todo }) })
export const wrong = (message: string, todo: string): Finding => ({ verdict: 'wrong', message, todo })

/** One after the other, so that no check disturbs another. */
export async function runChecks (checks: readonly Check[]): Promise<NamedFinding[]> {
  const findings: NamedFinding[] = []
  for (const { name, run } of checks) {
    findings.push({ name, ...await run().catch(failed) })
  }
  return findings
}

/** Messages of ServiceErrors and of PostgreSQL hold no secret; of anything else only the kind is told. */
function failed (error: unknown): Finding {
  if (error instanceof ServiceError) return wrong(error.message, 'mend that, then run this again')
  return wrong(`could not be checked (${reasonOf(error)})`, 'see whether the database answers, then run this again')
}

/** A few words on why a connection or a statement failed. */
export function reasonOf (error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nothing listens there', ENOTFOUND: 'no such host', ETIMEDOUT: 'no answer', EHOSTUNREACH: 'the host cannot be reached',
    '28P01': 'the password is wrong', '28000': 'the role may not log in from here', '3D000': 'there is no such database', '42501': 'a right is missing',
    '42P01': 'a table is missing', '53300': 'too many connections', '57P03': 'it is starting'
  }
  return words[code] ?? (code === '' ? error.message : code)
}
