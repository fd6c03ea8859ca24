/** `oxbow schema check|list|register`: what is registered, and whether a schema may be. */

import { extname } from 'node:path'
import { parseArgs } from 'node:util'
import { loadDeviceModels } from '../config/device-models.ts'
import { loadConfig } from '../config/load.ts'
import { MODELS_FOLDER } from '../config/product.ts'
import { SCHEMAS } from '../ingest/decode/fixed-schemas.ts'
import { activationProblems, type Version } from '../ingest/schemas/activation.ts'
import { DEFAULT_MODE } from '../ingest/schemas/compatibility.ts'
import { compileSchema, SCHEMA_TYPES } from '../ingest/schemas/compile-schema.ts'
import type { CompiledSchema, SchemaText, SchemaType } from '../ingest/schemas/compiled-schema.ts'
import { roleName } from '../ingest/schemas/plan.ts'
import type { RegistryView } from '../ingest/schemas/registry.ts'
import { SchemaRefusal } from '../ingest/schemas/schema-refusal.ts'
import { hasCluster } from '../platform/postgres/running-cluster.ts'
import { readGivenFile, wrongUse } from './given.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

/** The registry of this deployment, whether a server runs or not. */
export type OpenRegistry = (context: CliContext, configFile?: string) => Promise<{ registry: RegistryView, close (): Promise<void> }>

const USAGE = `Usage: oxbow schema check    FILE [--subject S] [--type T] [--json]
       oxbow schema register FILE --subject S [--type T] [--json]
       oxbow schema list     [--json]

Schemas of devices (docs/schemas.md). 'check' says what readings in a schema would
deliver, and everything for which 'register' would refuse it: what cannot be read,
what is not compatible with the versions of its subject, which mapping in use would
break. 'register' makes it the active version of its subject; readings that waited
for it then go on by 'oxbow quarantine resubmit --reason schema-unknown'. 'list' shows
what is registered. All work on the databases of this deployment, beside the server or
without it; before the first start 'check' knows the schemas of the product.

  --subject S          under which it is registered; check without it: as a first version
  --type T             ${SCHEMA_TYPES.join(', ')}; without it by the ending of FILE
  --config FILE        settings as JSON, as for serve
  --json               the result as JSON
  --help               this text

Exit code 0: it may be, or is, registered; 1: not so; 2: wrong use.
`

const OPTIONS = {
  subject: { type: 'string' },
  type: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS, allowPositionals: true }>>['values']

const TYPE_OF_ENDING: Readonly<Record<string, string>> = { '.avsc': 'AVRO', '.proto': 'PROTOBUF', '.json': 'JSON' }

export function createSchemaVerb (openRegistry: OpenRegistry): Verb {
  return {
    name: 'schema',
    summary: 'check, register or list schemas of devices',
    usage: USAGE,
    run: async (args, context) => {
      const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
      const [action, file, ...more] = positionals
      if (more.length > 0) throw wrongUse('one file at a time')
      switch (action) {
        case 'list':
          if (file !== undefined) throw wrongUse('list takes no file')
          return withRegistry(openRegistry, context, values, registry => list(registry, values, context))
        case 'check': return check(openRegistry, await givenSchema(file, values), values, context)
        case 'register': {
          const { subject } = values
          if (subject === undefined) throw wrongUse('register takes --subject S')
          const schema = await givenSchema(file, values)
          return withRegistry(openRegistry, context, values, registry => register(registry, subject, schema, { values, context }))
        }
        default: throw wrongUse('the things to do are check, register and list')
      }
    }
  }
}

async function givenSchema (file: string | undefined, values: Values): Promise<SchemaText> {
  if (file === undefined) throw wrongUse('FILE is missing, the schema')
  const wanted = values.type ?? TYPE_OF_ENDING[extname(file)]
  const type = SCHEMA_TYPES.find(known => known === wanted)
  if (type === undefined) throw wrongUse(`--type must be one of ${SCHEMA_TYPES.join(', ')}`)
  return { type, text: await readGivenFile(file, 'FILE') }
}

async function withRegistry (openRegistry: OpenRegistry, context: CliContext, values: Values, work: (registry: RegistryView) => Promise<number>): Promise<number> {
  const { registry, close } = await openRegistry(context, values.config)
  try {
    return await work(registry)
  } finally {
    await close()
  }
}

async function list (registry: RegistryView, values: Values, context: CliContext): Promise<number> {
  const all = await registry.all()
  const shown = all.map(({ subject, version, id, type }) => ({ subject, version, id, type }))
  const width = Math.max(0, ...shown.map(({ subject }) => subject.length))
  context.stdout(values.json ? `${JSON.stringify(shown)}\n` : shown.map(({ subject, version, id, type }) => `${subject.padEnd(width)}  version ${version}  id ${id}  ${type}\n`).join(''))
  return EXIT.done
}

async function register (registry: RegistryView, subject: string, schema: SchemaText, { values, context }: { values: Values, context: CliContext }): Promise<number> {
  try {
    const { id, version } = await registry.register(subject, schema)
    context.stdout(values.json ? `${JSON.stringify({ subject, version, id })}\n` : `registered: ${subject} version ${version}, id ${id}\n`)
    return EXIT.done
  } catch (error) {
    if (!(error instanceof SchemaRefusal)) throw error
    context.stdout(values.json ? `${JSON.stringify({ subject, problems: problemsOf(error) })}\n` : refusalText(problemsOf(error)))
    return EXIT.notSo
  }
}

function problemsOf ({ reasons, message }: SchemaRefusal): readonly string[] { return reasons.length > 0 ? reasons : [message] }

async function check (openRegistry: OpenRegistry, schema: SchemaText, values: Values, context: CliContext): Promise<number> {
  const compilation = compileSchema(schema)
  const problems = compilation.problems ?? await checkAgainst(openRegistry, schema, compilation.compiled, { values, context })
  const delivers = compilation.problems === undefined ? deliveredParts(compilation.compiled) : []
  context.stdout(values.json
    ? `${JSON.stringify({ ok: problems.length === 0, problems, delivers })}\n`
    : `${delivers.length === 0 ? '' : `delivers ${delivers.join(', ')}\n`}${problems.length === 0 ? 'it may be registered\n' : refusalText(problems)}`)
  return problems.length === 0 ? EXIT.done : EXIT.notSo
}

function refusalText (problems: readonly string[]): string { return `refused:\n${problems.map(problem => `  ${problem}\n`).join('')}` }

async function checkAgainst (openRegistry: OpenRegistry, schema: SchemaText, compiled: CompiledSchema, { values, context }: { values: Values, context: CliContext }): Promise<readonly string[]> {
  const config = loadConfig(context.env, values.config)
  if (config['postgres.kind'] === 'embedded' && !await hasCluster(config.dataDir)) {
    return activationProblems({ compiled, versions: productVersions(values.subject), mode: DEFAULT_MODE, models: await loadDeviceModels(MODELS_FOLDER) })
  }
  const { registry, close } = await openRegistry(context, values.config)
  try {
    // No subject has an empty name.
    return await registry.problems(values.subject ?? '', schema)
  } finally {
    await close()
  }
}

function productVersions (subject: string | undefined): Version[] {
  const type: SchemaType = 'AVRO'
  return SCHEMAS.filter(schema => schema.subject === subject).map(({ version, schema }) => ({ version, type, text: JSON.stringify(schema) }))
}

function deliveredParts ({ delivery }: CompiledSchema): string[] {
  return [...[...delivery.roles].map(roleName), ...delivery.channels.map(({ metric, kind, unit }) => `${metric} (${kind}, ${unit})`)]
}
