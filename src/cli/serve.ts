/** `oxbow serve`: starts everything, says when it takes readings, stops in order on SIGTERM and SIGINT. */

import { once } from 'node:events'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { type Config, SETTINGS } from '../config/schema.ts'
import { startSystem, type System } from '../system.ts'
import { runWard } from './demonstration/ward.ts'
import { forgetAddress, localTokens, recordAddress } from './local-server.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

const USAGE = `Usage: oxbow serve [--config FILE]

Starts the server: PostgreSQL below the data directory (or the one the settings name),
the ingest API, the stream, the FHIR API. Logs go to standard error; one line
'oxbow ready http://…' on standard output says that it takes readings.
SIGTERM and SIGINT stop it in order.

  --config FILE  settings as JSON (docs/configuration.md lists them all);
                 the environment (OXBOW_…) goes before the file
  --help         this text
`

export const serveVerb: Verb = {
  name: 'serve',
  summary: 'start the server',
  usage: USAGE,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' } } })
    const config = loadConfig(context.env, values.config)
    const lost = new AbortController()
    const system = await startSystem({ config, now: context.now, writeLog: context.stderr, onLost: () => { lost.abort() } })
    const ended = AbortSignal.any([context.signal, lost.signal])
    try {
      await recordAddress(config, system.address)
      context.stdout(`oxbow ready ${system.address}\n`)
      if (config.demo === 'on') openWard(config, system, { ...context, signal: ended })
      context.stderr(welcome(system, config))
      if (!ended.aborted) await once(ended, 'abort')
      await forgetAddress(config)
    } finally {
      await system.stop()
    }
    return lost.signal.aborted ? EXIT.notSo : EXIT.done
  }
}

/** Runs beside the server; that it fails is said, and stops nothing. */
function openWard (config: Config, system: System, context: CliContext): void {
  const token = localTokens(config, context, '__telemetry.write system/*.cruds')
  runWard({ address: system.address, token, models: system.models, context }).catch((error: unknown) => {
    if (!context.signal.aborted) context.stderr(`the demonstration ward stopped: ${error instanceof Error ? error.message : 'unknown'}\n`)
  })
}

function welcome ({ address }: System, config: Config): string {
  return [
    '',
    `Oxbow is running${config.demo === 'on' ? ' with a demonstration ward (every resource is marked DEMO)' : ''}.`,
    `  look:   ${address}/`,
    `  FHIR:   ${address}/fhir/metadata`,
    `  token:  ${config.dataDir === resolve(SETTINGS.dataDir.default) ? '' : `OXBOW_DATA_DIR=${config.dataDir} `}npm run -s oxbow -- token create --scope "__telemetry.write system/*.cruds"`,
    `  data:   ${config.dataDir}  (keys beside it: keep them, nothing opens without them)`,
    '  stop:   Ctrl-C',
    ''
  ].join('\n')
}
