/** Sids and device models <-> the numbers and positions under which rows stand. */

import type { Pool } from 'pg'
import type { DeviceModel } from '../../model/device-model.ts'
import { modelKey } from '../../model/device-model.ts'
import { ServiceError } from '../../model/errors.ts'
import type { ModelKey, Sid } from '../../model/reading.ts'
import { rowsOf } from './query.ts'

export interface SeriesName { sid: Sid, model: ModelKey, partition?: number }

/** Finds or makes the numbers of the given sids, and notes the partition of the bus that carries them. A sid keeps the model it came with first. */
export async function seriesNumbers (pool: Pool, names: readonly SeriesName[]): Promise<Map<Sid, number>> {
  const wanted = new Map(names.map(name => [name.sid, name]))
  let found = await find(pool, [...wanted.keys()])
  const fresh = [...wanted.values()].filter(({ sid }) => !found.has(sid))
  if (fresh.length > 0) {
    await rowsOf(pool, 'insert into series.sid (sid, model, bus_partition) select * from unnest($1::text[], $2::text[], $3::smallint[]) on conflict do nothing',
      [fresh.map(({ sid }) => sid), fresh.map(({ model }) => model), fresh.map(({ partition }) => partition ?? null)])
    found = await find(pool, [...wanted.keys()])
  }
  const moved = [...wanted.values()].filter(({ sid, partition }) => partition !== undefined && found.get(sid)!.partition !== partition)
  if (moved.length > 0) {
    await rowsOf(pool, 'update series.sid s set bus_partition = u.partition from unnest($1::int[], $2::smallint[]) u (number, partition) where s.number = u.number',
      [moved.map(({ sid }) => found.get(sid)!.number), moved.map(({ partition }) => partition)])
  }
  return new Map([...found].map(([sid, { number }]) => [sid, number]))
}

async function find (pool: Pool, sids: readonly Sid[]): Promise<Map<Sid, { number: number, partition: number | null }>> {
  const rows = await rowsOf(pool, 'select sid, number, bus_partition from series.sid where sid = any($1::text[])', [sids])
  return new Map(rows.map(([sid, number, partition]) => [sid as Sid, { number: number as number, partition: partition as number | null }]))
}

/** Sid and model of each number; an unknown number is missing. */
export async function sidsOf (pool: Pool, series: readonly number[]): Promise<Map<number, { sid: Sid, model: ModelKey }>> {
  const rows = await rowsOf(pool, 'select number, sid, model from series.sid where number = any($1::int[])', [series])
  return new Map(rows.map(([number, sid, model]) => [number as number, { sid: sid as Sid, model: model as ModelKey }]))
}

/** Numbers of sids that hold or held readings; a sid that never did is missing. */
export async function numbersOf (pool: Pool, sids: readonly Sid[]): Promise<Map<Sid, number>> {
  return new Map([...await find(pool, sids)].map(([sid, { number }]) => [sid, number]))
}

/** Notes which metric each channel position means. Call at start, before the first reading.
 *  @throws ServiceError incorrect MODEL_INVALID when a position that was used means something else now, or nothing */
export async function recordModels (pool: Pool, models: Iterable<DeviceModel>): Promise<void> {
  const channels = [...models].flatMap(model => model.channels.map(({ metric }, position) => ({ model: modelKey(model), position, metric })))
  await rowsOf(pool, 'insert into series.channel (model, position, metric) select * from unnest($1::text[], $2::smallint[], $3::text[]) on conflict do nothing',
    [channels.map(({ model }) => model), channels.map(({ position }) => position), channels.map(({ metric }) => metric)])
  const wanted = new Map(channels.map(({ model, position, metric }) => [`${model} ${position}`, metric]))
  const stored = await rowsOf(pool, 'select model, position, metric from series.channel where model = any($1::text[])', [[...new Set(channels.map(({ model }) => model))]])
  for (const [model, position, metric] of stored) {
    if (wanted.get(`${model} ${position}`) === metric) continue
    throw new ServiceError('incorrect', 'MODEL_INVALID',
      `channel ${position} of device model ${model} is stored as ${metric}: channels of mappings/models are only ever added at the end, never moved, renamed or removed`)
  }
  if (stored.length < channels.length) {
    throw new ServiceError('incorrect', 'MODEL_INVALID', 'a device model names a stored metric at a second channel: channels of mappings/models are only ever added at the end')
  }
}
