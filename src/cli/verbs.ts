/** Every verb, in the order in which `--help` lists them. */

import { docsVerb } from './docs.ts'
import { doctorVerb } from './doctor.ts'
import { replayVerb } from './replay.ts'
import { serveVerb } from './serve.ts'
import { simulateVerb } from './simulate.ts'
import { tokenVerb } from './token.ts'
import type { Verb } from './verb.ts'

export const VERBS: readonly Verb[] = [serveVerb, replayVerb, simulateVerb, tokenVerb, doctorVerb, docsVerb]
