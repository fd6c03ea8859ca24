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

const USAGE = `Usage: oxbow serve [--config FILE] [--roles all|stream]

Starts the server: PostgreSQL below the data directory (or the one the settings name),
the ingest API, the stream, the FHIR API. Logs go to standard error; one line
'oxbow ready http://…' on standard output says that it takes readings.
SIGTERM and SIGINT stop it in order.

  --config FILE  settings as JSON (docs/configuration.md lists them all);
                 the environment (OXBOW_…) goes before the file
  --roles ROLES  what this server does; goes before the setting 'roles':
                 all     everything (default); one such server per deployment
                 stream  only series writers, health and metrics, beside the
                         server that does everything, on its databases and its
                         Kafka cluster; as many as the load needs
  --help         this text
`

export const serveVerb: Verb = {
  name: 'serve',
  summary: 'start the server',
  usage: USAGE,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' }, roles: { type: 'string' } } })
    const config = loadConfig(values.roles === undefined ? context.env : { ...context.env, OXBOW_ROLES: values.roles }, values.config)
    const lost = new AbortController()
    const system = await startSystem({ config, now: context.now, writeLog: context.stderr, onLost: () => { lost.abort() } })
    const ended = AbortSignal.any([context.signal, lost.signal])
    // Verbs of this machine speak with the server that does everything.
    const isWhole = config.roles === 'all'
    try {
      if (isWhole) await recordAddress(config, system.address)
      context.stdout(`oxbow ready ${system.address}\n`)
      if (isWhole && config.demo === 'on') openWard(config, system, { ...context, signal: ended })
      context.stderr(isWhole ? welcome(system, config) : `Oxbow stores readings here, beside the server that leads: ${system.address}/health/ready\n`)
      if (!ended.aborted) await once(ended, 'abort')
      if (isWhole) await forgetAddress(config)
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
