/** A search and what the caller may see -> the series, metrics and times whose windows can hold an answer. Never too narrow. */

import type { Sid } from '../../model/reading.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import type { WindowStatus } from '../../model/window.ts'
import type { DeviceModel } from '../../model/device-model.ts'
import { mappedRow, type Mappings } from './mapping.ts'
import type { ObservationQuery } from './observation-query.ts'
import { type DateCondition, matchesAny, type Visibility } from '../words/search-words.ts'

/** Who is behind which sid, answered by the linkage store. */
export interface SidSources {
  all (): Promise<readonly Sid[]>
  ofPatients (ids: readonly string[]): Promise<readonly Sid[]>
  ofDevices (ids: readonly string[]): Promise<readonly Sid[]>
  /** By logical id of the DeviceUseStatement; an unknown one is missing. */
  ofAssociations (ids: readonly string[]): Promise<ReadonlyMap<string, Sid>>
  /** Devices that these DeviceMetrics belong to. */
  devicesOfMetrics (ids: readonly string[]): Promise<readonly string[]>
}

/** Sids whose windows the search and the caller allow, in no order. */
export async function sidsOfQuery ({ subjects, devices }: Pick<ObservationQuery, 'subjects' | 'devices'>, visibleTo: Visibility, sources: SidSources): Promise<readonly Sid[]> {
  const scopes: Promise<readonly Sid[]>[] = []
  if (subjects !== undefined) {
    scopes.push(union(sources.ofPatients(idsOf(subjects, 'Patient')), sources.ofDevices(idsOf(subjects, 'Device'))))
  }
  if (devices !== undefined) {
    const metrics = idsOf(devices, 'DeviceMetric')
    const owners = metrics.length === 0 ? [] : await sources.devicesOfMetrics(metrics)
    scopes.push(sources.ofDevices([...new Set([...idsOf(devices, 'Device'), ...owners])]))
  }
  const patients = visibleTo.map(term => term.patientId)
  if (!patients.includes(undefined)) scopes.push(sources.ofPatients([...new Set(patients as string[])]))
  if (scopes.length === 0) return sources.all()
  const [first, ...others] = (await Promise.all(scopes)).map(sids => new Set(sids))
  return [...first!].filter(sid => others.every(other => other.has(sid)))
}

/** Metrics that can have an Observation of the codes and categories; `undefined`: any. */
export function metricsOfQuery (query: Pick<ObservationQuery, 'codes' | 'categories'>, mappings: Mappings, models: readonly DeviceModel[]): readonly string[] | undefined {
  if (query.codes.length === 0 && query.categories.length === 0) return undefined
  const rows = new Set(mappings.all().filter(({ file }) => Object.values(file.views).some(view =>
    query.codes.every(tokens => matchesAny(tokens, view.code.coding)) && query.categories.every(tokens => matchesAny(tokens, [view.category])))).map(({ file }) => file.row))
  const metrics = new Set<string>()
  for (const model of models) {
    for (const metric of metricsOf(model)) {
      if (rows.has(mappedRow(metric, name => model.channels.find(channel => channel.metric === name)).row)) metrics.add(metric)
    }
  }
  return [...metrics]
}

/** Every metric of ledger rows that devices of the model can have. */
function metricsOf (model: DeviceModel): string[] {
  return [
    ...model.channels.flatMap(({ metric, kind }) => kind === 'spo2' ? [metric, `${metric}-samples`] : [metric]),
    'signal-quality-index', 'panel', 'battery-voltage'
  ]
}

const STATUSES: readonly WindowStatus[] = ['final', 'amended', 'corrected']

/** Statuses of ledger rows; `undefined`: any. A row in another form than before also shows what ended as entered-in-error. */
export function rowStatuses (statuses: ObservationQuery['statuses']): readonly WindowStatus[] | undefined {
  if (statuses === undefined || statuses.includes('entered-in-error')) return undefined
  return STATUSES.filter(status => statuses.includes(status))
}

export interface Bounds { from: number, until: number }

/** What every moment of a matching range lies in: the last one behind `from`, the first one before `until`. */
export function boundsOf (conditions: readonly (readonly DateCondition[])[]): Bounds {
  const all = conditions.map(anyOf => ({
    from: Math.min(...anyOf.map(condition => boundOf(condition).from)),
    until: Math.max(...anyOf.map(condition => boundOf(condition).until))
  }))
  return { from: Math.max(-Infinity, ...all.map(bound => bound.from)), until: Math.min(Infinity, ...all.map(bound => bound.until)) }
}

function boundOf ({ prefix, from, until }: DateCondition): Bounds {
  switch (prefix) {
    case 'eq':
    case 'ap': return { from, until }
    case 'ne': return { from: -Infinity, until: Infinity }
    case 'gt':
    case 'sa': return { from: until, until: Infinity }
    case 'ge': return { from, until: Infinity }
    case 'lt':
    case 'eb': return { from: -Infinity, until: from }
    case 'le': return { from: -Infinity, until }
  }
}

/** `undefined` for an open side. */
export function rangeOf ({ from, until }: Bounds): { from?: EpochMs, until?: EpochMs } {
  return { ...(from === -Infinity ? {} : { from: epochMs(from) }), ...(until === Infinity ? {} : { until: epochMs(until) }) }
}

function idsOf (refs: readonly { type: string, id: string }[], type: string): string[] {
  return refs.filter(ref => ref.type === type).map(ref => ref.id)
}

async function union (...scopes: Promise<readonly Sid[]>[]): Promise<readonly Sid[]> {
  return [...new Set((await Promise.all(scopes)).flat())]
}
