/** One topic that others write to → taken in, batch after batch, in order. Its offsets go on once a batch is durable; a crash between takes the last
 *  batch in again, and what is stored already is suppressed. What fails is tried again without end: nothing is passed over. */

import type { TopicSetting } from '../../config/schema.ts'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Events } from '../../observability/events.ts'
import { errorFields } from '../../observability/logger.ts'
import type { PartitionBatch } from '../../platform/bus/bus.ts'
import { takeFor } from '../../platform/bus/take-for.ts'
import type { TopicSource, TopicSourceOptions } from '../../platform/bus/kafka/topic-source.ts'
import { pause } from '../../platform/pause.ts'
import type { AcceptMessages, IncomingMessage } from '../accept-messages.ts'
import { CONTENT_TYPES } from '../decode/content.ts'
import { schemaIdIn } from '../decode/schemas.ts'
import { TOPIC_INLET } from '../source-position.ts'
import type { TopicOffsets, TopicPlace } from './topic-offsets.ts'

export type OpenTopic = (reader: Pick<TopicSourceOptions, 'topic' | 'resumeFrom' | 'onLost' | 'bytesMax' | 'signal'>) => Promise<TopicSource>

export interface TopicInletParts {
  setting: TopicSetting
  open: OpenTopic
  offsets: TopicOffsets
  acceptMessages: AcceptMessages
  /** Of the topic as a gateway: how long so many messages must wait, in ms; 0: taken. Absent: no limit. */
  pace?: ((count: number, now: EpochMs) => number) | undefined
  events: Pick<Events, 'raise' | 'clear' | 'arrivedFrom'>
  now: () => EpochMs
  times?: Partial<InletTimes>
}

export interface InletTimes {
  /** First pause after a failure; doubled up to `retryMaxMs`. */
  retryMs: number
  retryMaxMs: number
  /** How often the cluster is asked for new partitions, and whether records wait that do not come. */
  lookMs: number
}

export interface TopicInlet {
  /** Records that wait on the topic. */
  lag (): number
  /** Lets the batch in hand become durable. */
  close (): Promise<void>
}

const TIMES: InletTimes = { retryMs: 500, retryMaxMs: 10_000, lookMs: 30_000 }
/** Most messages of one batch, and most bytes held of the topic: of one patient all of a batch must fit a record of our bus. */
const MESSAGES_MAX = 1_000
const BYTES_MAX = 4 * 1024 * 1024

export function startTopicInlet (parts: TopicInletParts): TopicInlet {
  const stop = new AbortController()
  let source: TopicSource | undefined
  const running = keepReading(parts, stop.signal, opened => { source = opened })
  return {
    lag: () => source?.lag() ?? 0,
    async close () {
      stop.abort()
      await running
    }
  }
}

async function keepReading (parts: TopicInletParts, stop: AbortSignal, onOpen: (source: TopicSource) => void): Promise<void> {
  const backOff = pauses(parts, stop)
  while (!stop.aborted) {
    try {
      await readOn(parts, stop, backOff, onOpen)
    } catch (error) {
      // Partitions given anew: what is known of them is read again.
      if (error instanceof ServiceError && error.code === 'BUS_REASSIGNED') continue
      await backOff.after(error)
    }
  }
}

interface Pauses { after (error: unknown): Promise<void>, fine (): void }

/** Says what is wrong while it lasts, and waits longer each time. */
function pauses ({ setting, events, times }: TopicInletParts, stop: AbortSignal): Pauses {
  const { retryMs, retryMaxMs } = { ...TIMES, ...times }
  let failures = 0
  return {
    async after (error) {
      const waitMs = Math.min(retryMaxMs, retryMs * 2 ** Math.min(failures++, 20))
      events.raise('inlet-stopped', { topic: setting.topic, reason: error instanceof ServiceError ? error.code : 'internal', ...errorFields(error) }, setting.topic)
      await pause(waitMs, stop)
    },
    fine () {
      if (failures > 0) events.clear('inlet-stopped', setting.topic)
      failures = 0
    }
  }
}

/** Until told to stop, or until the topic must be opened again. */
async function readOn (parts: TopicInletParts, stop: AbortSignal, backOff: Pauses, onOpen: (source: TopicSource) => void): Promise<void> {
  const { setting, open, offsets, events, now } = parts
  let places: ReadonlyMap<number, TopicPlace> = new Map()
  const source = await open({
    topic: setting.topic,
    resumeFrom: async () => {
      places = await offsets.read(setting.topic)
      return new Map([...places].map(([partition, { next }]) => [partition, next]))
    },
    onLost: async (partition, from, until) => {
      await offsets.lost(setting.topic, partition, from, until, now())
      places = await offsets.read(setting.topic)
      events.raise('inlet-lost', { topic: setting.topic, partition, offset: from, count: Math.max(0, until - from) }, setting.topic)
    },
    bytesMax: BYTES_MAX,
    signal: stop
  })
  onOpen(source)
  try {
    const watch = createWatch(source)
    for (let progress = 0; !stop.aborted;) {
      const batches = await takeFor(source, MESSAGES_MAX, parts.times?.lookMs ?? TIMES.lookMs, stop)
      if (stop.aborted) break
      if (batches.length > 0) {
        await takeIn(parts, source, batches, places, stop, backOff)
        progress++
      }
      if (await watch.mustOpenAgain(now(), parts.times?.lookMs ?? TIMES.lookMs, progress)) return
      backOff.fine()
    }
  } finally {
    await source.close()
  }
}

/** Tried until it is durable: the order of the topic is kept, and its consumer fetches no more than it may hold. */
async function takeIn (
  { setting, offsets, acceptMessages, pace, events, now }: TopicInletParts, source: TopicSource, batches: readonly PartitionBatch[], places: ReadonlyMap<number, TopicPlace>, stop: AbortSignal, backOff: Pauses
): Promise<void> {
  const messages = batches.flatMap(({ partition, records }) => {
    const inlet = inletOf(setting.topic, partition, places.get(partition)?.generation ?? 0)
    return records.map(record => messageOf(setting, inlet, record))
  })
  const next = new Map(batches.map(({ partition, nextOffset }): [number, TopicPlace] => [partition, { next: nextOffset, generation: places.get(partition)?.generation ?? 0 }]))
  for (let waitMs = pace?.(messages.length, now()) ?? 0; waitMs > 0 && !stop.aborted; waitMs = pace!(messages.length, now())) await pause(waitMs, stop)
  for (let isTakenIn = false; !stop.aborted;) {
    try {
      if (!isTakenIn) await acceptMessages(messages)
      isTakenIn = true
      await offsets.advance(setting.topic, next)
      break
    } catch (error) {
      await backOff.after(error)
    }
  }
  if (stop.aborted) return
  for (const { partition, nextOffset, records } of batches) {
    source.release(partition, nextOffset)
    events.arrivedFrom(setting.topic, partition, records.length)
  }
}

const SCHEMA_HEADER = 'oxbow-schema-id'

/** The same offsets of a topic that was made anew are other messages. */
function inletOf (topic: string, partition: number, generation: number): string {
  return `${TOPIC_INLET}${topic}${generation === 0 ? '' : `~${generation}`}/${partition}`
}

function messageOf ({ content, schemaId }: TopicSetting, inlet: string, { offset, value, headers }: PartitionBatch['records'][number]): IncomingMessage {
  const named = headers?.get(SCHEMA_HEADER)
  // A header that names no schema is no reason to take another one: what was sent in it would be read as something else.
  const declared = named === undefined ? schemaId : schemaIdIn(named)
  return {
    bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength), contentType: CONTENT_TYPES[content], contentEncoding: '',
    ...(content === 'confluent' || declared === undefined ? {} : { schemaId: declared }),
    source: { inlet, number: offset }
  }
}

/** Whether new partitions have come, or records that should: the group may have forgotten us in silence. */
function createWatch (source: TopicSource): { mustOpenAgain (now: EpochMs, everyMs: number, progress: number): Promise<boolean> } {
  let last: { at: EpochMs, progress: number, end: number, isBehind: boolean } | undefined
  return {
    async mustOpenAgain (now, everyMs, progress) {
      if (last !== undefined && now - last.at < everyMs) return false
      const { end, hasGrown } = await source.look()
      const isStill = last !== undefined && last.progress === progress
      const isBehind = isStill && end > last!.end
      const isStuck = isBehind && last!.isBehind
      last = { at: now, progress, end: isBehind ? last!.end : end, isBehind }
      if (isStuck) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'records wait on the topic and do not come')
      return hasGrown
    }
  }
}
