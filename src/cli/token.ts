/** `oxbow token create`: scopes and whom they are for → a bearer token of this deployment, and nothing else. */

import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createLocalIssuer, localTokenKeyFile } from '../auth/local-issuer.ts'
import { loadConfig } from '../config/load.ts'
import { keyFileOf } from '../platform/keys/key-file.ts'
import { wrongUse } from './given.ts'
import { EXIT, type Verb } from './verb.ts'

const USAGE = `Usage: oxbow token create --scope "SCOPE ..." [options]

Prints a bearer token that this deployment accepts, and nothing else. The server
need not run: the token is signed with the key file beside that of the key ring.

  --scope "A B"        what it opens, for example __telemetry.write (send readings),
                       system/Observation.rs (read and search Observations),
                       "system/*.cruds" (everything), patient/*.rs with --patient,
                       "__schemas.read __schemas.write" (the schema registry)
  --subject NAME       who uses it (default command-line)
  --patient ID         logical id of the patient in context, for scopes of patient/
  --fhir-user REF      Practitioner/ID or Patient/ID, for scopes of user/
  --ttl SECONDS        how long it is valid (default 3600, at most 315360000: ten years)
  --config FILE        settings as JSON, as for serve
  --json               {"token": ..., "expiresAt": ...} as one JSON object
  --help               this text
`

const OPTIONS = {
  scope: { type: 'string' },
  subject: { type: 'string', default: 'command-line' },
  patient: { type: 'string' },
  'fhir-user': { type: 'string' },
  ttl: { type: 'string', default: '3600' },
  config: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

const CLIENT_ID = 'oxbow-cli'

export const tokenVerb: Verb = {
  name: 'token',
  summary: 'make a bearer token',
  usage: USAGE,
  run: async (args, context) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
    if (positionals.length !== 1 || positionals[0] !== 'create') throw wrongUse("the one thing to do is 'create'")
    if (values.scope === undefined) throw wrongUse('--scope is missing')
    if (!/^\d{1,10}$/.test(values.ttl)) throw wrongUse('--ttl must be a whole number of seconds, at most 315360000')
    const config = loadConfig(context.env, values.config)
    if (!existsSync(keyFileOf(config))) context.stderr(`oxbow token: no server has run on ${config.dataDir} yet; one on another data directory (OXBOW_DATA_DIR) will not take this token\n`)
    const issuer = await createLocalIssuer({
      file: localTokenKeyFile(keyFileOf(config)), publicUrl: config['http.publicUrl'], now: context.now
    })
    const { patient, 'fhir-user': fhirUser } = values
    const ttlS = Number(values.ttl)
    const token = await issuer.issue({
      scope: values.scope,
      subject: values.subject,
      clientId: CLIENT_ID,
      ...(patient === undefined ? {} : { patient }),
      ...(fhirUser === undefined ? {} : { fhirUser }),
      ttlS
    })
    const expiresAt = new Date((Math.floor(context.now() / 1_000) + ttlS) * 1_000).toISOString()
    context.stdout(values.json ? `${JSON.stringify({ token, expiresAt })}\n` : `${token}\n`)
    return EXIT.done
  }
}
