/** A resource that is about to be written → everything wrong with it. */

import type { Finding } from '../outcome.ts'

/** [] for a resource that may be written. */
export function validateResource (resource: unknown, _limits: { findingsMax: number }): readonly Finding[] {
  if (resource !== null && typeof resource === 'object' && !Array.isArray(resource)) return []
  return [{ severity: 'error', code: 'structure', message: 'a resource is an object', expression: 'Resource' }]
}

/** Canonical URLs of the profiles known for a type. */
export function profilesOf (_type: string): readonly string[] { return [] }
