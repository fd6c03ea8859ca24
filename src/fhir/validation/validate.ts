/** A resource that is about to be written → everything wrong with it, by R4 and the profiles it claims. */

import { readFileSync } from 'node:fs'
import type { Finding } from './finding.ts'
import type { Definitions } from './definitions.ts'
import { createValidator, type Validator } from './validator.ts'

// Made at first use: nothing of it is needed on the way to the first stored reading (performance.md D14). It never changes.
let made: Validator | undefined

function validator (): Validator {
  made ??= createValidator(JSON.parse(readFileSync(new URL('definitions.generated.json', import.meta.url), 'utf8')) as Definitions)
  return made
}

/** [] for a resource that may be written; at most `findingsMax`. Findings without a profile are of base R4. */
export function validateForWrite (resource: unknown, limits: { findingsMax: number }): readonly Finding[] {
  return validator().validate(resource, limits)
}

/** Canonical URLs of the profiles known for a type. */
export function profilesOf (type: string): readonly string[] { return validator().profilesOf(type) }
