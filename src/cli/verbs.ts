/** Every verb, in the order in which `--help` lists them. */

import { docsVerb } from './docs.ts'
import type { Verb } from './verb.ts'

export const VERBS: readonly Verb[] = [docsVerb]
