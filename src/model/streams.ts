/** Every topic of ours: key, writers, readers. Vendors' own topics are not ours and not here. */

export interface Stream {
  topic: string
  key: 'sid'
  writers: readonly string[]
  readers: readonly string[]
  holds: string
  /** `read`: as long as `bus.retain` says, once read. `until archived`: its reader releases what stands in the archive for good, and that may go at once. */
  stays: 'until archived' | 'read'
}

export const READINGS = 'oxbow.readings.v1'
export const RAW = 'oxbow.raw.v1'

export const STREAMS: readonly Stream[] = [
  { topic: RAW, key: 'sid', writers: ['ingest/publish-groups'], readers: ['stores/archive/writer'], holds: 'original bytes of each record, sealed with the key of its sid', stays: 'until archived' },
  { topic: READINGS, key: 'sid', writers: ['ingest/publish-groups', 'stores/reprocess/compare-originals'], readers: ['stream/runner'], holds: 'checked readings by sid', stays: 'read' }
]
