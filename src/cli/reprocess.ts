/** `oxbow reprocess`: a span of event time → its readings as the archive gives them today, its windows computed again. */

import { parseArgs } from 'node:util'
import { ServiceError } from '../model/errors.ts'
import type { EpochMs } from '../model/units.ts'
import type { Sid } from '../model/reading.ts'
import type { ReprocessCounts, ReprocessJob } from '../stores/series/reprocess-job.ts'
import type { Reprocessor } from '../system/reprocess.ts'
import { timeOf, wrongUse } from './given.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

export type OpenReprocess = (context: CliContext, configFile: string | undefined, onProgress: (job: ReprocessJob) => void) => Promise<Reprocessor & { close (): Promise<void> }>

const USAGE = `Usage: oxbow reprocess --from TIME --to TIME [--devices NAME,...] [--pipeline NAME] [--json]
       oxbow reprocess --resume [--json]

Reads the original bytes of a span of time again from the archive, puts the readings
right where today's rules read them otherwise, and has every closed window of the span
computed again with the pipeline, the calibrations and the associations as they are
now. A window whose content changed gets a new revision, status corrected, under the
same id; the others stay as they are, byte for byte. Nothing is taken away.

Beside a server the server's stream computes the windows, a portion at a time, between
what comes in. Without one, with the embedded PostgreSQL, this process does it.
It can be stopped at any time: the same command again, or --resume, goes on where it
was; after a day it begins anew.
Exit code 0: done, 1: not done, a part of the archive could not be read, or windows are
of a device model that has no file.

  --from TIME      readings taken at or after (ISO 8601 with zone)
  --to TIME        readings taken before
  --devices NAMES  only these, by their names in telemetry, with commas between
  --pipeline NAME  refuse unless this one is installed (its version or its digest)
  --resume         go on with what is not done, whatever it was
  --config FILE    settings as JSON, as for serve
  --json           the result as JSON
  --help           this text
`

const OPTIONS = {
  from: { type: 'string' },
  to: { type: 'string' },
  devices: { type: 'string' },
  pipeline: { type: 'string' },
  resume: { type: 'boolean', default: false },
  config: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

interface Given { span: { from: EpochMs, to: EpochMs } | undefined, devices: readonly string[] | undefined, pipeline: string | undefined }

export function createReprocessVerb (open: OpenReprocess): Verb {
  return {
    name: 'reprocess',
    summary: 'read a span of time again from the archive and compute its windows again',
    usage: USAGE,
    run: async (args, context) => {
      const { values } = parseArgs({ args: [...args], options: OPTIONS })
      const given = givenOf(values)
      const reprocessor = await open(context, values.config, job => { if (context.isTerminal) context.stderr(`\r${progress(job)}`) })
      try {
        return await run(reprocessor, given, values.json, context)
      } finally {
        await reprocessor.close()
      }
    }
  }
}

/** Everything that can be wrong is said before a database is opened. */
function givenOf ({ from, to, devices, pipeline, resume }: { from?: string, to?: string, devices?: string, pipeline?: string, resume: boolean }): Given {
  const names = devices?.split(',').map(name => name.trim())
  if (names?.some(name => name === '') === true) throw wrongUse('--devices takes names with commas between')
  if (resume) {
    if (from !== undefined || to !== undefined || devices !== undefined) throw wrongUse('--resume takes neither --from, --to nor --devices: the job knows them')
    return { span: undefined, devices: undefined, pipeline }
  }
  if (from === undefined || to === undefined) throw wrongUse('say which span: --from TIME --to TIME')
  const span = { from: timeOf('--from', from), to: timeOf('--to', to) }
  if (span.from >= span.to) throw wrongUse('--from lies behind --to')
  return { span, devices: names, pipeline }
}

async function run (reprocessor: Reprocessor, { span, devices, pipeline }: Given, isJson: boolean, context: CliContext): Promise<number> {
  if (pipeline !== undefined && !reprocessor.pipelines.includes(pipeline)) {
    throw wrongUse(`--pipeline: windows are computed by what is installed, ${reprocessor.pipelines.join(' or ')}: to compute with another, install its version`)
  }
  const sids = devices === undefined ? undefined : await sidsOf(reprocessor, devices)
  try {
    const job = await reprocessor.reprocess(span === undefined ? undefined : { ...span, sids })
    if (context.isTerminal) context.stderr('\n')
    context.stdout(isJson ? `${JSON.stringify(asJson(job))}\n` : asText(job))
    return job.counts.unreadable + job.counts.withoutModel === 0 ? EXIT.done : EXIT.notSo
  } catch (error) {
    if (!context.signal.aborted) throw error
    throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'ended before it was done: --resume goes on where it was', { cause: error })
  }
}

async function sidsOf ({ sidsOfDevice }: Reprocessor, devices: readonly string[]): Promise<readonly Sid[]> {
  const all: Sid[] = []
  for (const [place, name] of devices.entries()) {
    const sids = await sidsOfDevice(name)
    if (sids.length === 0) throw wrongUse(`--devices: nobody ever wore device ${place + 1} of the list, or no Device has this name in telemetry`)
    all.push(...sids)
  }
  return [...new Set(all)].sort()
}

/** As long as the one before: it is written over it. */
function progress ({ phase, counts }: ReprocessJob): string {
  const what = {
    read: `reading the archive: ${counts.originals} readings`,
    compare: `comparing: ${counts.stored - counts.uncovered} of ${counts.stored} readings`,
    windows: `computing: ${counts.windows} windows, ${counts.revisions} revisions`,
    done: `done: ${counts.windows} windows, ${counts.revisions} revisions`
  }
  return what[phase].padEnd(78)
}

function asJson ({ number, from, to, counts, startedAt }: ReprocessJob): object {
  return { job: number, begun: new Date(startedAt).toISOString(), from: new Date(from).toISOString(), to: new Date(to).toISOString(), ...counts }
}

function asText ({ number, counts, startedAt }: ReprocessJob): string {
  return [
    `job       ${number}, begun ${new Date(startedAt).toISOString()}`,
    `archive   ${counts.originals} readings of the span read again`,
    `readings  ${counts.added} added, ${counts.filled} filled, ${counts.corrected} corrected`,
    `windows   ${counts.windows} computed again, ${counts.revisions} new revisions`,
    ...notes(counts), ''
  ].join('\n')
}

/** What was not looked at, and why. */
function notes (counts: ReprocessCounts): string[] {
  const lines: [count: number, words: string][] = [
    [counts.uncovered, 'stored readings of the span have no original that could be read: they stay as they are'],
    [counts.waiting, 'records of the raw topic were not archived yet when this began (archive.sliceTime)'],
    [counts.erased, 'readings were erased with their key, of any time that was read'],
    [counts.unreadable, "readings, at most, stand in what could not be read: 'oxbow archive verify' names it"],
    [counts.unassigned, 'originals are of a time in which, by the associations of now, nobody wore the device, or the association changed while this ran'],
    [counts.refused, 'originals would be refused today: their readings stay'],
    [counts.kept, 'readings hold a value that no original that was read gives today: it stays'],
    [counts.unbacked, 'windows stand on more readings than are stored now: they stay as they are'],
    [counts.withoutModel, 'windows are of device models that have no file in mappings/models: they stay as they are']
  ]
  return lines.filter(([count]) => count > 0).map(([count, words]) => `note      ${count} ${words}`)
}
