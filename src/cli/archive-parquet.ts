/** `oxbow archive parquet list|open`: words → which days stand in the archive as Parquet, and one of them as a file. */

import { open } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { DAY_MS } from '../model/units.ts'
import type { ListedFile, ParquetView, Whose } from '../stores/archive/parquet/parquet-view.ts'
import { givenNumber, wrongUse } from './given.ts'
import { type CliContext, EXIT } from './verb.ts'

/** The files of this deployment, whether a server runs or not. */
export type OpenParquetView = (context: CliContext, configFile?: string) => Promise<{ view: ParquetView, close (): Promise<void> }>

export const PARQUET_USAGE = `'parquet list' says which UTC days of which series stand there as Parquet, one file
each, sealed with the series' key. 'parquet open' writes one as a plain file, for its
owner alone: that is patient data, under a pseudonym. Its columns are described in
docs/archive.md.

  --device NAME  the device's name in telemetry
  --series N     the number of a series, as list prints it
  --day DAY      as 2026-03-01; --from and --until: the first and the last one
  --out FILE     where open writes; a file that exists stays as it is
  --version N    where a day has more than one file
`

const OPTIONS = {
  device: { type: 'string' },
  series: { type: 'string' },
  day: { type: 'string' },
  from: { type: 'string' },
  until: { type: 'string' },
  out: { type: 'string' },
  version: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS, allowPositionals: true }>>['values']
type Job = (view: ParquetView, context: CliContext) => Promise<number>


/** @param args what stands behind `archive parquet` */
export async function runParquet (args: readonly string[], context: CliContext, openView: OpenParquetView): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  const [action, ...more] = positionals
  if (more.length > 0 || (action !== 'list' && action !== 'open')) throw wrongUse('the things to do with Parquet files are list and open')
  // Everything that can be wrong is said before a database is opened.
  const job = action === 'list' ? listJob(values) : openJob(values)
  const { view, close } = await openView(context, values.config)
  try {
    return await job(view, context)
  } finally {
    await close()
  }
}

function listJob (values: Values): Job {
  const day = givenDay('--day', values.day)
  if (values.out !== undefined || values.version !== undefined) throw wrongUse('--out and --version are for open')
  const filter = { whose: whoseOf(values), from: day ?? givenDay('--from', values.from), to: day ?? givenDay('--until', values.until) }
  if (filter.from !== undefined && filter.to !== undefined && filter.from > filter.to) throw wrongUse('--from lies behind --until')
  return async (view, { stdout, stderr }) => {
    let count = 0
    for await (const file of view.list(filter)) {
      count++
      stdout(values.json ? `${JSON.stringify(asJson(file))}\n` : fileLine(file))
    }
    if (count === 0) stderr('oxbow archive parquet: there are no such files\n')
    return EXIT.done
  }
}

function openJob (values: Values): Job {
  const { out } = values
  const [whose, day] = [whoseOf(values), givenDay('--day', values.day)]
  if (values.from !== undefined || values.until !== undefined || whose === undefined || day === undefined || out === undefined) throw wrongUse('open takes --device NAME or --series N, --day DAY and --out FILE')
  const version = values.version === undefined ? undefined : givenNumber(values.version, '--version', { minimum: 1, maximum: 2 ** 31 - 1, isWhole: true })
  return async (view, { stdout }) => {
    const { entry, file } = await view.open({ whose, day, version })
    await writePrivate(out, file)
    stdout(values.json
      ? `${JSON.stringify({ ...asJson({ ...entry, isUpToDate: true }), isUpToDate: undefined, file: out })}\n`
      : `${out}: ${entry.rows} readings of ${dayText(entry.day)}, version ${entry.version}. It is not sealed any more: only its owner can read it.\n`)
    return EXIT.done
  }
}

/** For its owner alone; what is there already stays. */
async function writePrivate (path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw wrongUse(error.code === 'EEXIST' ? '--out names a file that exists: it is left as it is' : `--out cannot be written (${error.code ?? 'unknown'})`)
  })
  try {
    await handle.writeFile(bytes)
  } finally {
    await handle.close()
  }
}

function whoseOf ({ device, series }: Values): Whose | undefined {
  if (device !== undefined && series !== undefined) throw wrongUse('--device and --series say the same: give one')
  if (device !== undefined) return { device }
  return series === undefined ? undefined : { series: givenNumber(series, '--series', { minimum: 1, maximum: 2 ** 31 - 1, isWhole: true }) }
}

/** Days since 1970-01-01. */
function givenDay (name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN
  // 2026-02-30 is read as a day of March.
  if (Number.isNaN(time) || dayText(time / DAY_MS) !== text) throw wrongUse(`${name} is a UTC day as 2026-03-01`)
  return time / DAY_MS
}

function dayText (day: number): string { return new Date(day * DAY_MS).toISOString().slice(0, 10) }

function fileLine ({ series, day, version, rows, bytes, name, isUpToDate }: ListedFile): string {
  return `series ${series}  ${dayText(day)}  version ${version}  ${rows} readings  ${bytes} bytes  ${name}${isUpToDate ? '' : '  changed since'}\n`
}

function asJson ({ day, sha256, writtenAt, ...entry }: ListedFile): object {
  return { ...entry, day: dayText(day), sha256: sha256.toString('hex'), writtenAt: new Date(writtenAt).toISOString() }
}
