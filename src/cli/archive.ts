/** `oxbow archive verify|list|parquet`: words → the proof that everything that came in stands in the archive, and what stands there. */

import { parseArgs } from 'node:util'
import { ServiceError } from '../model/errors.ts'
import { unlessAborted } from '../platform/within.ts'
import type { ArchiveView } from '../stores/archive/archive-view.ts'
import type { Manifest } from '../stores/archive/manifest.ts'
import type { Finding, Report, VerifySpan } from '../stores/archive/verify.ts'
import { type OpenParquetView, PARQUET_USAGE, runParquet } from './archive-parquet.ts'
import { timeOf, wrongUse } from './given.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

/** The archive of this deployment, whether a server runs or not. */
export type OpenArchiveView = (context: CliContext, configFile?: string) => Promise<{ view: ArchiveView, close (): Promise<void> }>

const USAGE = `Usage: oxbow archive verify [--from TIME] [--to TIME] [--json]
       oxbow archive list   [--from TIME] [--to TIME] [--json]
       oxbow archive parquet list [--device NAME | --series N] [--day DAY | --from DAY] [--until DAY] [--json]
       oxbow archive parquet open --device NAME | --series N --day DAY [--version N] --out FILE [--json]

The archive holds the original bytes of everything that was stored. 'verify' reads
all of it again and proves that nothing is missing: every object is the one that was
written, the offsets of the raw topic follow on without a gap, and every place of
every request is archived or stands in quarantine's book, once. It names everything that
fails; docs/archive.md says what to do. It changes nothing, and runs beside the
server or without it. Exit code 0: all of it holds, 1: something was found.
Requests so recent that some of their records may still be on the bus are counted as
not judged yet. It first waits until what is on the bus is archived, at most a
minute, and not at all where archive.sliceTime is longer than 50 s.

  --from TIME    only objects with records that came in at or after (ISO 8601 with zone)
  --to TIME      only objects with records that came in before; when only part of the
                 archive is read, requests are not checked
  --config FILE  settings as JSON, as for serve
  --json         the result as JSON; of 'list' a line for each object
  --help         this text

${PARQUET_USAGE}`

const OPTIONS = {
  from: { type: 'string' },
  to: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

export function createArchiveVerb (openView: OpenArchiveView, openParquet: OpenParquetView): Verb {
  return {
    name: 'archive',
    summary: 'prove that the archive of original bytes is whole, list what stands in it, open Parquet',
    usage: USAGE,
    run: async (args, context) => {
      if (args[0] === 'parquet') return runParquet(args.slice(1), context, openParquet)
      const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
      const [action, ...more] = positionals
      if (more.length > 0 || (action !== 'verify' && action !== 'list')) throw wrongUse('the things to do are verify, list and parquet')
      const span: VerifySpan = {
        ...(values.from === undefined ? {} : { from: timeOf('--from', values.from) }), ...(values.to === undefined ? {} : { to: timeOf('--to', values.to) })
      }
      if (span.from !== undefined && span.to !== undefined && span.from >= span.to) throw wrongUse('--from lies behind --to')
      const { view, close } = await openView(context, values.config)
      try {
        return await unlessAborted((action === 'verify' ? verify : list)(view, span, values.json, context), context.signal)
      } catch (error) {
        throw context.signal.aborted ? new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'ended before it was done', { cause: error }) : error
      } finally {
        await close()
      }
    }
  }
}

async function verify (view: ArchiveView, span: VerifySpan, isJson: boolean, { stdout }: CliContext): Promise<number> {
  const report = await view.verify(span)
  stdout(isJson ? `${JSON.stringify(report)}\n` : asText(report))
  return report.ok ? EXIT.done : EXIT.notSo
}

async function list (view: ArchiveView, span: VerifySpan, isJson: boolean, { stdout, stderr }: CliContext): Promise<number> {
  let count = 0
  for await (const manifest of view.list(span)) {
    count++
    stdout(isJson ? `${JSON.stringify(manifest)}\n` : objectLine(manifest))
  }
  if (count === 0) stderr('oxbow archive: there are no such objects\n')
  return EXIT.done
}

function objectLine ({ object, partition, first, next, readings, bytes, receivedFrom, receivedTo }: Manifest): string {
  return `${object}  partition ${partition}  offsets ${first}-${next - 1}  ${readings} readings  ${bytes} bytes  ${receivedFrom} to ${receivedTo}\n`
}

function asText (report: Report): string {
  return [...sums(report), '', ...verdict(report), ''].join('\n')
}

function sums ({ objects, bytes, records, readings, underway, requests, quarantine }: Report): string[] {
  const lines = [
    `objects     ${objects} read, ${bytes} bytes, ${records} records of the raw topic`,
    `readings    ${readings.opened} opened, ${readings.erased} erased with their key`,
    `under way   ${underway.records} records wait on the bus, ${underway.objects} objects are being written`
  ]
  if (requests === undefined || quarantine === undefined) return [...lines, 'requests    not looked at: only a part of the archive was read']
  return [
    ...lines,
    `requests    ${requests.complete} complete, ${requests.redelivered} complete and read again from their topic, ${requests.unanswered} that were never acknowledged, ${requests.unplaced} from before places were written, ${requests.unjudged} not judged yet`,
    `quarantine  ${quarantine.waiting} wait, ${quarantine.held} held, ${quarantine.released} released, ${quarantine.resubmitted} re-submitted, ${quarantine.discarded} discarded, ${quarantine.repeated} repeats of others`
  ]
}

function verdict ({ ok, objects, findings, counts, requests }: Report): string[] {
  const unjudged = requests?.unjudged ?? 0
  if (ok && requests === undefined) return [objects === 0 ? 'No object of that time was found, so nothing was proved.' : 'What was read holds.']
  if (ok) return [unjudged === 0 ? 'All of it holds.' : `All of it holds that can be judged now; ${unjudged} requests not judged yet: what is missing of them may still be on the bus.`]
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const more = all > findings.length ? [`and ${all - findings.length} more`] : []
  return [...findings.map(findingLine), ...more, '', `${all} findings: docs/archive.md says what to do.`]
}

function findingLine ({ kind, object, detail }: Finding): string {
  return `${kind.padEnd(16)}  ${object === undefined ? '' : `${object}: `}${detail}`
}
