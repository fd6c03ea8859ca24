/** Metric names and provenances <-> the numbers that stand for them in rows. Numbers never change, so they are remembered. */

import type { Pool } from 'pg'
import type { Provenance } from '../../model/provenance.ts'
import { rowsOf } from './query.ts'

export interface Dictionary {
  /** Makes sure that these names have numbers; new ones are made, outside any transaction. */
  metrics (names: Iterable<string>): Promise<void>
  /** What is known by now. */
  readonly metricNumbers: ReadonlyMap<string, number>
  provenances (values: Iterable<Provenance>): Promise<void>
  /** After {@link provenances} has seen it. */
  numberOf (value: Provenance): number
  /** Makes sure that {@link provenanceOf} and {@link metricOf} know these numbers. */
  loadNumbers (metrics: Iterable<number>, provenances: Iterable<number>): Promise<void>
  /** Numbers of these names as far as they have one; of every name when `undefined`. */
  findMetrics (names: readonly string[] | undefined): Promise<ReadonlyMap<string, number>>
  metricOf (number: number): string
  provenanceOf (number: number): Provenance
}

const PROVENANCE = 'pipeline_version, dag_digest, mapping_version, calibration, firmware, schema_id'

export function createDictionary (pool: Pool): Dictionary {
  const metricNumbers = new Map<string, number>()
  const metricNames = new Map<number, string>()
  const provenanceNumbers = new Map<string, number>()
  const provenances = new Map<number, Provenance>()

  async function loadMetrics (): Promise<void> {
    for (const [number, name] of await rowsOf(pool, 'select number, name from series.metric')) {
      metricNumbers.set(name as string, number as number)
      metricNames.set(number as number, name as string)
    }
  }

  function remember (number: number, value: Provenance): void {
    provenanceNumbers.set(keyOf(value), number)
    provenances.set(number, value)
  }

  return {
    metricNumbers,
    async findMetrics (names) {
      if (names === undefined || names.some(name => !metricNumbers.has(name))) await loadMetrics()
      return metricNumbers
    },
    async metrics (names) {
      const missing = [...new Set(names)].filter(name => !metricNumbers.has(name))
      if (missing.length > 0) {
        await loadMetrics()
        const fresh = missing.filter(name => !metricNumbers.has(name))
        if (fresh.length > 0) {
          await rowsOf(pool, 'insert into series.metric (name) select unnest($1::text[]) on conflict do nothing', [fresh])
          await loadMetrics()
        }
      }
    },
    async provenances (values) {
      const missing = new Map<string, Provenance>()
      for (const value of values) {
        const key = keyOf(value)
        if (!provenanceNumbers.has(key)) missing.set(key, value)
      }
      if (missing.size === 0) return
      const columns = columnsOf([...missing.values()])
      const unnest = 'unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::int[])'
      const select = `select p.number, p.${PROVENANCE.replaceAll(', ', ', p.')} from series.provenance p join ${unnest} u (a, b, c, d, e, f)
        on (p.${PROVENANCE.replaceAll(', ', ', p.')}) = (u.a, u.b, u.c, u.d, u.e, u.f)`
      for (const row of await rowsOf(pool, select, columns)) remember(row[0] as number, provenanceFrom(row))
      const fresh = [...missing].filter(([key]) => !provenanceNumbers.has(key)).map(([, value]) => value)
      if (fresh.length === 0) return
      await rowsOf(pool, `insert into series.provenance (${PROVENANCE}) select * from ${unnest} on conflict do nothing`, columnsOf(fresh))
      for (const row of await rowsOf(pool, select, columnsOf(fresh))) remember(row[0] as number, provenanceFrom(row))
    },
    numberOf: value => provenanceNumbers.get(keyOf(value))!,
    async loadNumbers (metrics, numbers) {
      for (const metric of metrics) {
        if (metricNames.has(metric)) continue
        await loadMetrics()
        break
      }
      const missing = [...new Set(numbers)].filter(number => !provenances.has(number))
      if (missing.length === 0) return
      for (const row of await rowsOf(pool, `select number, ${PROVENANCE} from series.provenance where number = any($1::int[])`, [missing])) {
        remember(row[0] as number, provenanceFrom(row))
      }
    },
    metricOf: number => metricNames.get(number)!,
    provenanceOf: number => provenances.get(number)!
  }
}

function keyOf (value: Provenance): string {
  return `${value.calibration}/${value.firmware}/${value.schemaId}/${value.mappingVersion}/${value.pipelineVersion}/${value.dagDigest}`
}

function columnsOf (values: readonly Provenance[]): unknown[] {
  return [
    values.map(value => value.pipelineVersion), values.map(value => value.dagDigest), values.map(value => value.mappingVersion),
    values.map(value => value.calibration), values.map(value => value.firmware), values.map(value => value.schemaId)
  ]
}

function provenanceFrom (row: readonly unknown[]): Provenance {
  return {
    pipelineVersion: row[1] as string,
    dagDigest: row[2] as string,
    mappingVersion: row[3] as string,
    calibration: row[4] as number,
    firmware: row[5] as number,
    schemaId: row[6] as number
  }
}
