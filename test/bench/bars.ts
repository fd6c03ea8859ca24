/** Every bar of performance.md §6 and §9, in the order in which they are printed. */

export interface Bar {
  id: string
  name: string
  unit: string
  /** Raised bars are goals: `met` or `open`, never a condition. */
  raised?: boolean
  /** Without floor and target the line informs. */
  floor?: number
  target?: number
  better: 'higher' | 'lower'
  /** Compared with floor and target: the ratio, or our own figure where nothing stands against it. */
  judged: 'ratio' | 'ours'
  /** Why it cannot be measured yet. */
  notBuilt?: string
}

const higher = { better: 'higher', judged: 'ratio' } as const
const lower = { better: 'lower', judged: 'ours' } as const
const lowerRatio = { better: 'lower', judged: 'ratio' } as const

export const BARS: readonly Bar[] = [
  { id: 'P1j', name: 'ingest json 100/post 32 conn', unit: 'r/s', floor: 0.2, target: 0.35, ...higher },
  { id: 'P1a', name: 'ingest avro 100/post 32 conn', unit: 'r/s', floor: 0.25, target: 0.45, ...higher },
  { id: 'P1kj', name: 'ingest json through Kafka', unit: 'r/s', ...higher },
  { id: 'P1ka', name: 'ingest avro through Kafka', unit: 'r/s', ...higher },
  // 10 and 6 us, and 8 us, where bare COPY takes 2.5 us a row (docs/decisions/0010).
  { id: 'P2s', name: 'cpu per reading, server', unit: 'us', floor: 4, target: 2.4, ...lowerRatio },
  { id: 'P2p', name: 'cpu per reading, postgres', unit: 'us', floor: 3.2, target: 3.2, ...lowerRatio },
  { id: 'P3a', name: 'ingest 1/post 32 conn', unit: 'r/s', floor: 1.5, target: 2.5, ...higher },
  { id: 'P3b', name: 'consume 1/message, embedded bus', unit: 'r/s', floor: 15, target: 30, ...higher },
  { id: 'P3k', name: 'consume 1/message, Kafka', unit: 'r/s', floor: 15, target: 30, ...higher },
  { id: 'P3l', name: 'lag made good under load, Kafka', unit: 'r/s', ...higher },
  { id: 'P4', name: 'readings findable by search', unit: 'r/s', floor: 100, target: 300, ...higher, notBuilt: 'no driver for a peer' },
  { id: 'P5', name: 'write Bundles of Observations', unit: 'obs/s', floor: 10, target: 25, ...higher, notBuilt: 'client-written Observations' },
  { id: 'P6', name: 'search latest 100', unit: 'ms', floor: 8, target: 8, ...lowerRatio, notBuilt: 'audit' },
  { id: 'P7', name: 'alarm to rest-hook', unit: 'ms', floor: 5, target: 5, ...lowerRatio, notBuilt: 'alarms' },
  { id: 'P8', name: 'subscriptions 10 to 10,000', unit: 'us', floor: 1.2, target: 1.2, ...lowerRatio, notBuilt: 'subscriptions' },
  { id: 'P9', name: 'devices 1e2 to 1e5', unit: 'r/s', floor: 0.85, target: 0.85, ...higher },
  { id: 'P9m', name: 'stream state per device', unit: 'B', floor: 1_500, target: 1_500, ...lower },
  { id: 'P10', name: 'ingest at 5e7 rows', unit: 'r/s', floor: 0.85, target: 0.85, ...higher },
  { id: 'P10q', name: 'latest 100 at 5e7 rows, p50', unit: 'ms', floor: 1.5, target: 1.5, ...lowerRatio },
  { id: 'P10w', name: '1 h of a series at 5e7 rows, p50', unit: 'ms', floor: 1.5, target: 1.5, ...lowerRatio },
  { id: 'P11', name: 'audit append', unit: 'e/s', floor: 0.6, target: 0.6, ...higher, notBuilt: 'audit' },
  { id: 'P12', name: 'build SampledData(60) views', unit: 'obs/s', floor: 0.5, target: 0.5, ...higher },
  { id: 'P12s', name: 'samples stored and findable', unit: 'samples/s', floor: 50, target: 50, ...higher, notBuilt: 'no driver for a peer' },
  { id: 'P13', name: 'kill -9, 20 rounds: lost or doubled', unit: 'readings', floor: 0, target: 0, ...lower },
  { id: 'P13k', name: 'kill -9 on Kafka, 20 rounds: the same', unit: 'readings', floor: 0, target: 0, ...lower },
  { id: 'A1', name: 'archive json 100/post', unit: 'MB/s', ...higher },
  { id: 'A1c', name: 'archive json 100/post, per CPU second', unit: 'MB', ...higher },
  { id: 'A1b', name: 'archived reading, 100/post', unit: 'B', ...lowerRatio },
  { id: 'A2', name: 'archive json 1/post', unit: 'MB/s', ...higher },
  { id: 'A2c', name: 'archive json 1/post, per CPU second', unit: 'MB', ...higher },
  { id: 'A2b', name: 'archived reading, 1/post', unit: 'B', ...lowerRatio },
  { id: 'T1', name: 'TimescaleDB: commit 10,000 readings', unit: 'r/s', raised: true, target: 0.6, ...higher },
  { id: 'T2', name: 'TimescaleDB: compressed reading', unit: 'B', raised: true, target: 0.2, ...lowerRatio },
  { id: 'T3', name: 'TimescaleDB: 1 h of a series, p50', unit: 'ms', raised: true, target: 2, ...lowerRatio },
  { id: 'T4', name: 'TimescaleDB: all of a series, p50', unit: 'ms', raised: true, target: 1.5, ...lowerRatio },
  { id: 'T5', name: 'TimescaleDB: readings held by hour, p50', unit: 'ms', raised: true, target: 0.1, ...lowerRatio },
  { id: 'M1j', name: 'raised: ingest json', unit: 'r/s', raised: true, target: 0.45, ...higher },
  { id: 'M1a', name: 'raised: ingest avro', unit: 'r/s', raised: true, target: 0.6, ...higher },
  { id: 'M2', name: 'raised: findable against a peer', unit: 'r/s', raised: true, target: 1_000, ...higher, notBuilt: 'no driver for a peer' },
  { id: 'M3', name: 'raised: alarm idle p50', unit: 'ms', raised: true, target: 2, ...lowerRatio, notBuilt: 'alarms' },
  { id: 'M4', name: 'raised: 100,000 subscriptions', unit: 'us', raised: true, target: 1.1, ...lowerRatio, notBuilt: 'subscriptions' },
  { id: 'M5', name: 'raised: memory per 1,000 devices', unit: 'MB', raised: true, target: 20, ...lower },
  { id: 'M6', name: 'raised: cold start', unit: 's', raised: true, target: 5, ...lower },
  { id: 'M7', name: 'raised: 24 h timeline', unit: 'ms', raised: true, target: 150, ...lower, notBuilt: 'audit' }
]
