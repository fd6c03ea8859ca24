/** Every verb, in the order in which `--help` lists them. */

import { loadConfig } from '../config/load.ts'
import { openArchiveView, openParquetView, openRegistry, openReprocess, openReview } from '../system.ts'
import type { SystemOptions } from '../system/ground.ts'
import { createArchiveVerb } from './archive.ts'
import { docsVerb } from './docs.ts'
import { doctorVerb } from './doctor.ts'
import { heldVerb } from './held.ts'
import { createQuarantineVerb } from './quarantine.ts'
import { replayVerb } from './replay.ts'
import { createReprocessVerb } from './reprocess.ts'
import { createSchemaVerb } from './schema.ts'
import { serveVerb } from './serve.ts'
import { simulateVerb } from './simulate.ts'
import { tokenVerb } from './token.ts'
import { topicsVerb } from './topics.ts'
import type { CliContext, Verb } from './verb.ts'

const quarantineVerb = createQuarantineVerb((context, configFile) => openReview(quietly('quarantine', context, configFile)))
const schemaVerb = createSchemaVerb((context, configFile) => openRegistry(quietly('schema', context, configFile)))
const archiveVerb = createArchiveVerb((context, configFile) => openArchiveView(quietly('archive', context, configFile)),
  (context, configFile) => openParquetView(quietly('archive', context, configFile)))
const reprocessVerb = createReprocessVerb((context, configFile, onProgress) => openReprocess(quietly('reprocess', context, configFile), { signal: context.signal, onProgress }))

export const VERBS: readonly Verb[] = [
  serveVerb, replayVerb, simulateVerb, quarantineVerb, heldVerb, archiveVerb, reprocessVerb, schemaVerb, topicsVerb, tokenVerb, doctorVerb, docsVerb
]

function quietly (verb: string, context: CliContext, configFile: string | undefined): SystemOptions {
  return { config: loadConfig(context.env, configFile), now: context.now, writeLog: errorsInWords(verb, context.stderr), onLost: () => {} }
}

/** A verb writes for people: of the log of what it opens only errors are said, without their fields. */
function errorsInWords (verb: string, stderr: CliContext['stderr']): (line: string) => void {
  return line => {
    const { level, msg } = JSON.parse(line) as { level: string, msg: string }
    if (level === 'error') stderr(`oxbow ${verb}: ${msg}\n`)
  }
}
