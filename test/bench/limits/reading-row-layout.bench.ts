/** Layouts of a row that holds one to eight channels → rate of binary COPY, size, time to read back. Run alone: `npx node test/bench/limits/reading-row-layout.bench.ts [rows] [rounds]`. */

import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type PoolClient } from 'pg'
import { type CopyBuffer, createCopyBuffer } from '../../../src/platform/postgres/copy.ts'
import { freePort, handOver, initialise, runAsUser, startPostmaster } from '../../../src/platform/postgres/postmaster.ts'
import { sendBatch } from '../../../src/platform/postgres/send-batch.ts'

const [rowCount, roundCount] = [Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 5)]
const SERIES = 1000
const PER_COMMIT = 10_000
const START = Date.UTC(2026, 1, 11)
const KEY = 'series int not null, schema_id int not null, taken_at timestamptz not null, sequence bigint not null, src_offset bigint not null, firmware int not null, flags int not null, partition smallint not null, quality smallint, battery int'
const PARTITIONED = 'primary key (series, taken_at, sequence)) partition by range (taken_at)'

interface Layout {
  name: string
  columns: string
  /** Table `t`, by whatever statements. */
  create: string
  encode: (copy: CopyBuffer, n: number) => void
  /** Two values of one row as they come back. */
  decode: (row: readonly unknown[]) => readonly number[]
}

function encodeKey (copy: CopyBuffer, n: number, valueFields: number): void {
  copy.row(10 + valueFields)
  copy.int4(n % SERIES)
  copy.int4(2)
  copy.timestamptz(START + Math.floor(n / SERIES) * 1000 + (n % 13))
  copy.int8(0)
  copy.int8(n)
  copy.int4(1)
  copy.int4(0)
  copy.int2(0)
  copy.int2(93)
  copy.int4(3700)
}
const one = (n: number) => 40 + (n % 50) / 10
const two = (n: number) => 95 + (n % 40) / 10
const packed = Buffer.alloc(17)
const day = `create table t_day partition of t for values from ('2026-02-11') to ('2026-02-12')`

const LAYOUTS: readonly Layout[] = [
  {
    name: 'L: two fixed columns, plain index',
    columns: 'series, ts, spo2, tissue_o2, battery_mv, quality, flags, src_offset',
    create: 'create table t (series int, ts timestamptz, spo2 float4, tissue_o2 float8, battery_mv smallint, quality smallint, flags int, src_offset bigint); create index on t (series, ts)',
    encode (copy, n) {
      copy.row(8)
      copy.int4(n % SERIES)
      copy.timestamptz(START + Math.floor(n / SERIES) * 1000 + (n % 13))
      copy.float4(two(n))
      copy.float8(one(n))
      copy.int2(3700)
      copy.int2(93)
      copy.int4(0)
      copy.int8(n)
    },
    decode: row => [row[3] as number, row[2] as number]
  },
  {
    name: 'eight nullable float8 columns',
    columns: 'series, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, v0, v1, v2, v3, v4, v5, v6, v7',
    create: `create table t (${KEY}, v0 float8, v1 float8, v2 float8, v3 float8, v4 float8, v5 float8, v6 float8, v7 float8, ${PARTITIONED}; ${day}`,
    encode (copy, n) {
      encodeKey(copy, n, 8)
      copy.float8(one(n))
      copy.float8(two(n))
      for (let channel = 2; channel < 8; channel++) copy.null()
    },
    decode: row => [row[10] as number, row[11] as number]
  },
  {
    name: 'bytea: bit map, then float8 values',
    columns: 'series, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, channels',
    create: `create table t (${KEY}, channels bytea, ${PARTITIONED}; ${day}`,
    encode (copy, n) {
      encodeKey(copy, n, 1)
      packed[0] = 3
      packed.writeDoubleBE(one(n), 1)
      packed.writeDoubleBE(two(n), 9)
      copy.bytea(packed)
    },
    decode (row) {
      const bytes = row[10] as Buffer
      return [bytes.readDoubleBE(1), bytes.readDoubleBE(9)]
    }
  },
  {
    name: 'float8[]',
    columns: 'series, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, channels',
    create: `create table t (${KEY}, channels float8[], ${PARTITIONED}; ${day}`,
    encode (copy, n) {
      encodeKey(copy, n, 1)
      copy.float8Array([one(n), two(n)])
    },
    decode: row => row[10] as number[]
  }
]

interface Figures { rate: number, bytesPerRow: number, readMs: number }

async function measure (client: Client, layout: Layout): Promise<Figures> {
  await client.query(`drop table if exists t; ${layout.create}`)
  const copy = createCopyBuffer(4 << 20)
  const began = performance.now()
  for (let from = 0; from < rowCount; from += PER_COMMIT) {
    copy.reset()
    for (let n = from; n < from + PER_COMMIT; n++) layout.encode(copy, n)
    await sendBatch(client as unknown as PoolClient, [{ copy: `copy t (${layout.columns}) from stdin (format binary)`, bytes: copy.bytes() }])
  }
  const rate = rowCount / (performance.now() - began) * 1000
  const { rows: [size] } = await client.query("select sum(pg_total_relation_size(c.oid))::float8 as bytes from pg_class c where c.relname ~ '^t(_day)?$' and c.relkind in ('r', 'p')")
  await client.query('vacuum analyze t')
  return { rate, bytesPerRow: size.bytes / rowCount, readMs: await readBack(client, layout) }
}

/** Median time to read and decode one series whole. */
async function readBack (client: Client, layout: Layout): Promise<number> {
  const times: number[] = []
  const [, time] = layout.columns.split(', ').filter(column => ['series', 'taken_at', 'ts'].includes(column))
  for (let series = 0; series < 60; series++) {
    const began = performance.now()
    const { rows } = await client.query({ text: `select ${layout.columns} from t where series = $1 and ${time} >= $2 and ${time} < $3 order by ${time}`, values: [series, '2026-02-11T00:00Z', '2026-02-12T00:00Z'], rowMode: 'array' })
    let sum = 0
    for (const row of rows) sum += layout.decode(row)[0]!
    if (!(sum > 0) || rows.length !== rowCount / SERIES) throw new Error(`${layout.name}: wrong rows`)
    times.push(performance.now() - began)
  }
  return median(times)
}

function median (values: readonly number[]): number { return [...values].sort((a, b) => a - b)[values.length >> 1]! }

const runAs = await runAsUser()
const folder = await mkdtemp(join(tmpdir(), 'oxbow-layout-'))
await chmod(folder, 0o755)
await handOver(folder, runAs)
const password = randomBytes(18).toString('base64url')
const data = join(folder, 'data')
await initialise(data, password, runAs)
const port = await freePort()
const postmaster = await startPostmaster({
  folder: data, port, runAs, logFile: join(folder, 'log'),
  settings: { listen_addresses: '127.0.0.1', unix_socket_directories: '', shared_buffers: '1GB', max_wal_size: '8GB', timezone: 'UTC' }
})
try {
  const client = new Client({ connectionString: `postgres://postgres:${password}@127.0.0.1:${port}/postgres` })
  await client.connect()
  const rounds = new Map<string, Figures[]>(LAYOUTS.map(({ name }) => [name, []]))
  for (let round = 0; round < roundCount; round++) {
    for (const layout of LAYOUTS) rounds.get(layout.name)!.push(await measure(client, layout))
    process.stderr.write(`round ${round + 1}: ${LAYOUTS.map(({ name }) => Math.round(rounds.get(name)!.at(-1)!.rate)).join(' / ')} rows/s, load ${loadavg()[0]!.toFixed(1)}\n`)
  }
  const reference = rounds.get(LAYOUTS[0]!.name)!
  for (const [name, figures] of rounds) {
    const ratio = median(figures.map(({ rate }, round) => rate / reference[round]!.rate))
    process.stdout.write(`${name.padEnd(36)} ${Math.round(median(figures.map(({ rate }) => rate))).toString().padStart(8)} rows/s  ${ratio.toFixed(2)} of L  ` +
      `${median(figures.map(({ bytesPerRow }) => bytesPerRow)).toFixed(0)} B/row with index  ${median(figures.map(({ readMs }) => readMs)).toFixed(2)} ms to read ${rowCount / SERIES} rows\n`)
  }
  await client.end()
} finally {
  await postmaster.stop()
  await rm(folder, { recursive: true, force: true })
}
