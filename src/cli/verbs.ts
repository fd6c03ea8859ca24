/** Every verb, in the order in which `--help` lists them. */

import { loadConfig } from '../config/load.ts'
import { openReview } from '../system.ts'
import { docsVerb } from './docs.ts'
import { doctorVerb } from './doctor.ts'
import { createQuarantineVerb } from './quarantine.ts'
import { replayVerb } from './replay.ts'
import { serveVerb } from './serve.ts'
import { simulateVerb } from './simulate.ts'
import { tokenVerb } from './token.ts'
import type { Verb } from './verb.ts'

const quarantineVerb = createQuarantineVerb(context => openReview({
  config: loadConfig(context.env), now: context.now, writeLog: context.stderr, onLost: () => {}
}))

export const VERBS: readonly Verb[] = [serveVerb, replayVerb, simulateVerb, quarantineVerb, tokenVerb, doctorVerb, docsVerb]
