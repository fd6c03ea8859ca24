/** `oxbow quarantine list|show|resubmit|discard`: words → what operators do with inputs that were not stored. */

import { isUtf8 } from 'node:buffer'
import { hostname, userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { SCHEMA_ID_MAX } from '../ingest/decode/schemas.ts'
import type { ItemHead, ItemState } from '../ingest/quarantine/quarantine-item.ts'
import { ITEM_STATES } from '../ingest/quarantine/quarantine-item.ts'
import type { ListFilter, QuarantineReview, ShownItem } from '../ingest/quarantine/quarantine-review.ts'
import { ServiceError } from '../model/errors.ts'
import { REASONS, type ReasonCode } from '../model/reason.ts'
import type { EpochMs } from '../model/units.ts'
import { givenNumber, timeOf, wrongUse } from './given.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

/** The operators' view on the databases of this deployment, whether a server runs or not. */
export type OpenReview = (context: CliContext, configFile?: string) => Promise<{ review: QuarantineReview, close (): Promise<void> }>

const USAGE = `Usage: oxbow quarantine list     [filters] [--limit N] [--json]
       oxbow quarantine show     ID [--json]
       oxbow quarantine resubmit ID... | filters [--json]
       oxbow quarantine discard  ID... | filters --because TEXT [--json]

Inputs that were not stored, kept encrypted with the reason. 'show' prints what
was sent (--json: the exact bytes): that is patient data. 'resubmit' checks it
again and stores it when its cause is fixed; when a store is full or away it
stops, and says how many went. 'discard' ends it for good. Readings that wait for
an association are released by themselves when one is recorded. What is sent
again byte for byte while its item is open is counted there: first and last seen,
and how often. Who discarded what, when and why stays on record.

Filters (resubmit and discard need --reason, or ids and no filter; they touch open
items only, and all that pass):
  --reason CODE        one of those of docs/ingest.md; may be repeated
  --state STATE        waiting, held, released, resubmitted, discarded; may be repeated
  --schema ID          number of the schema it was sent in, or that it names and
                       nobody knows; may be repeated; 0: not known
  --device NAME        the device's name in telemetry
  --from TIME          first seen at or after (ISO 8601 with zone)
  --to TIME            first seen before

  --limit N            most items listed (default 100)
  --because TEXT       why, kept for good with your login name; no patient data
  --config FILE        settings as JSON, as for serve
  --json               the result as JSON
  --help               this text
`

const OPTIONS = {
  reason: { type: 'string', multiple: true },
  state: { type: 'string', multiple: true },
  schema: { type: 'string', multiple: true },
  device: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  limit: { type: 'string' },
  because: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

const FILTERS = ['reason', 'state', 'schema', 'device', 'from', 'to'] as const
const LISTED = 100
const LISTED_MAX = 9_999_999
const PAGE = 500
const REASON_CODES = Object.keys(REASONS) as ReasonCode[]
const OPEN: readonly ItemState[] = ['waiting', 'held']

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS, allowPositionals: true }>>['values']
interface Job { review: QuarantineReview, values: Values, ids: readonly string[], context: CliContext, who: () => string }

/** @param who discards, as it is put on record */
export function createQuarantineVerb (openReview: OpenReview, who: () => string = operatingSystemUser): Verb {
  return {
    name: 'quarantine',
    summary: 'list, show, re-submit or discard what was not stored',
    usage: USAGE,
    run: async (args, context) => {
      const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
      const [action, ...named] = positionals
      const ids = [...new Set(named)]
      const job = assertJob(action, ids, values)
      const { review, close } = await openReview(context, values.config)
      try {
        return await job({ review, values, ids, context, who })
      } finally {
        await close()
      }
    }
  }
}

/** Everything that can be wrong is said before a database is opened. */
function assertJob (action: string | undefined, ids: readonly string[], values: Values): (job: Job) => Promise<number> {
  filterOf(values)
  limitOf(values)
  if (action !== 'list' && values.limit !== undefined) throw wrongUse(`--limit is for list: ${action} takes every item that is named, or that passes the filters`)
  if (ids.length > 0 && FILTERS.some(name => values[name] !== undefined)) throw wrongUse('give ids, or filters: an id names its item whatever else is said')
  if (ids.some(id => !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))) throw wrongUse('an id is a UUID as list prints it')
  switch (action) {
    case 'list':
      if (ids.length > 0) throw wrongUse('list takes no ids')
      return list
    case 'show':
      if (ids.length !== 1) throw wrongUse('show takes one id')
      return show
    case 'resubmit':
    case 'discard':
      if ((ids.length === 0) === (values.reason === undefined)) throw wrongUse(`${action} takes ids, or --reason`)
      if (action === 'discard' && (values.because ?? '').trim() === '') throw wrongUse('discard takes --because TEXT')
      return action === 'resubmit' ? resubmit : discard
    default: throw wrongUse('the things to do are list, show, resubmit and discard')
  }
}

async function list ({ review, values, context }: Job): Promise<number> {
  const limit = limitOf(values)
  const heads = await review.list({ ...filterOf(values), limit })
  context.stdout(values.json ? `${JSON.stringify(heads.map(asJson))}\n` : heads.map(headLine).join(''))
  if (heads.length === 0) context.stderr('oxbow quarantine: there are no such items\n')
  if (heads.length === limit) context.stderr(`oxbow quarantine: ${heads.length} items shown, there may be more (--limit)\n`)
  return EXIT.done
}

async function show ({ review, values, ids, context }: Job): Promise<number> {
  const item = await review.show(ids[0]!)
  if (item === undefined) throw new ServiceError('not-found', 'NOT_FOUND', 'there is no such item')
  context.stdout(values.json ? `${printable(JSON.stringify(shownAsJson(item)))}\n` : shownAsText(item))
  return EXIT.done
}

async function resubmit (job: Job): Promise<number> {
  let resubmitted = 0
  let remaining = 0
  const reasons = new Map<ReasonCode, number>()
  const { values, context, ids } = job
  try {
    for await (const some of openIds(job)) {
      const result = await job.review.resubmit(some)
      resubmitted += result.resubmitted
      remaining += result.remaining.length
      for (const { reason } of result.remaining) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      if (result.stoppedBy !== undefined) throw result.stoppedBy
    }
  } catch (error) {
    if (!(error instanceof ServiceError && (error.category === 'busy' || error.category === 'unavailable'))) throw error
    context.stdout(values.json ? `${JSON.stringify({ resubmitted, stopped: error.code })}\n` : `re-submitted ${resubmitted}, then stopped\n`)
    context.stderr(`oxbow quarantine: ${error.message}; what did not go stays in quarantine: do the same again later\n`)
    return EXIT.notSo
  }
  context.stdout(values.json ? `${JSON.stringify({ resubmitted, remaining })}\n` : `re-submitted ${resubmitted}, remaining ${remaining}\n`)
  for (const [reason, count] of reasons) context.stderr(`oxbow quarantine: ${count} failed again as ${reason}: ${REASONS[reason]}\n`)
  const settled = ids.length - resubmitted - remaining
  if (settled > 0) context.stderr(settledLine(settled))
  return remaining === 0 && settled <= 0 ? EXIT.done : EXIT.notSo
}

async function discard (job: Job): Promise<number> {
  let discarded = 0
  for await (const ids of openIds(job)) discarded += await job.review.discard(ids, job.values.because!, job.who())
  job.context.stdout(job.values.json ? `${JSON.stringify({ discarded })}\n` : `discarded ${discarded}\n`)
  const settled = job.ids.length - discarded
  if (settled > 0) job.context.stderr(settledLine(settled))
  return settled <= 0 ? EXIT.done : EXIT.notSo
}

function settledLine (count: number): string {
  return `oxbow quarantine: ${count} of the items named ${count === 1 ? 'is' : 'are'} settled already, or not there: 'oxbow quarantine show ID' tells\n`
}

/** The ids named, or those of open items that pass the filters, a page at a time. */
async function * openIds ({ review, values, ids }: Job): AsyncGenerator<readonly string[]> {
  if (ids.length > 0) {
    yield ids
    return
  }
  const filter = filterOf(values)
  const states = (filter.states ?? OPEN).filter(state => OPEN.includes(state))
  for (let after = 0; ;) {
    const heads = await review.list({ ...filter, states, after, limit: PAGE })
    if (heads.length === 0) return
    yield heads.map(({ id }) => id)
    after = heads.at(-1)!.number
  }
}

function filterOf (values: Values): Omit<ListFilter, 'limit'> {
  return {
    ...(values.reason === undefined ? {} : { reasons: values.reason.map(reason => oneOf('--reason', reason, REASON_CODES)) }),
    ...(values.state === undefined ? {} : { states: values.state.map(state => oneOf('--state', state, ITEM_STATES)) }),
    ...(values.schema === undefined ? {} : { schemaIds: values.schema.map(schemaNumber) }),
    ...(values.device === undefined ? {} : { deviceId: values.device }),
    ...(values.from === undefined ? {} : { arrivedFrom: timeOf('--from', values.from) }),
    ...(values.to === undefined ? {} : { arrivedUntil: timeOf('--to', values.to) })
  }
}

function limitOf ({ limit }: Values): number { return limit === undefined ? LISTED : givenNumber(limit, '--limit', { minimum: 1, maximum: LISTED_MAX, isWhole: true }) }

function oneOf<T extends string> (option: string, word: string, words: readonly T[]): T {
  const found = words.find(known => known === word)
  if (found === undefined) throw wrongUse(`${option} is one of ${words.join(', ')}`)
  return found
}

function schemaNumber (text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > SCHEMA_ID_MAX) throw wrongUse('--schema is the number of a schema, 0 when it is not known')
  return Number(text)
}

/** A user of this machine without a name has a number. */
function operatingSystemUser (): string {
  try {
    return `os-user/${userInfo().username}@${hostname()}`
  } catch {
    return `os-user/${process.getuid?.() ?? 'unknown'}@${hostname()}`
  }
}

/** Any number a device may send is shown; what is no date is shown as it is. */
function timeText (time: EpochMs | undefined): string {
  if (time === undefined) return '-'
  return Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : String(time)
}

function headLine (head: ItemHead): string {
  const reason = head.field === undefined ? head.reason : `${head.reason} (${head.field})`
  const seen = head.timesSeen === 1 ? [] : [`seen ${head.timesSeen} times`, `last ${timeText(head.lastSeenAt)}`]
  const words = [`schema ${head.namedSchema ?? head.schemaId}`, `arrived ${timeText(head.arrivedAt)}`, ...seen, `taken ${timeText(head.eventTime)}`, `from ${head.source}#${head.place}`]
  return `${[head.id, head.state.padEnd(11), head.kind.padEnd(6), reason, ...words].join('  ')}\n`
}

function asJson (head: ItemHead): object {
  const { arrivedAt, lastSeenAt, eventTime, triedAt, settledAt, ...rest } = head
  const time = (value: EpochMs | undefined) => value === undefined ? undefined : timeText(value)
  const times = { arrivedAt: time(arrivedAt), lastSeenAt: time(lastSeenAt), eventTime: time(eventTime), triedAt: time(triedAt), settledAt: time(settledAt) }
  return { ...rest, ...times, toDo: REASONS[head.reason] }
}

function shownAsJson ({ head, bytes, record }: ShownItem): object {
  return { ...asJson(head), ...(bytes === undefined ? {} : { bytes: bytes.toString('base64') }), ...(record === undefined ? {} : { record }) }
}

function shownAsText ({ head, bytes, record }: ShownItem): string {
  const told = Object.entries(asJson(head)).filter(([, value]) => value !== undefined && value !== '')
  const lines = told.map(([name, value]) => `${name}: ${printable(String(value))}\n`)
  if (bytes === undefined) return [...lines, 'content: none, the item is settled\n'].join('')
  return [...lines, `content: ${contentText(head, bytes, record)}\n`].join('')
}

/** JSON as it was sent, other formats by their fields, what cannot be read in base64. */
function contentText (head: ItemHead, bytes: Buffer, record: ShownItem['record']): string {
  const isText = (head.content === 'json' || head.content === 'ndjson') && head.encoding === '' && isUtf8(bytes)
  if (isText) return printable(bytes.toString('utf8'))
  return record === undefined ? `${bytes.toString('base64')} (base64)` : printable(JSON.stringify(record))
}

/** What a terminal would obey, or not show, is written as JSON writes it; line ends and tabs stay. */
function printable (text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => character === '\n' || character === '\t' ? character : escaped(character))
}

function escaped (character: string): string {
  return Array.from({ length: character.length }, (_, place) => `\\u${character.charCodeAt(place).toString(16).padStart(4, '0')}`).join('')
}
