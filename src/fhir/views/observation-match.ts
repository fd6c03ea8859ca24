/** One published view against a search and against what the caller may see. Pure: the rule for what SQL narrows down beforehand. */

import { identifierSystem } from '../../model/identifier.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Coding } from './mapping-schema.ts'
import type { PublishedView } from './observation-load.ts'
import { type ObservationQuery, STATUS_SYSTEM } from './observation-query.ts'
import { type DateCondition, matchesAny, matchesDate, type Visibility, type VisibilityTerm } from '../words/search-words.ts'
import { effectiveOf } from './observation-value.ts'
import { metricAt } from './view-context.ts'
import { nameOfView } from './view-name.ts'
import { isEnded } from './window-history.ts'

export function matchesQuery (found: PublishedView, query: ObservationQuery): boolean {
  return isAnyOf(query.subjects, subjectOf(found)) &&
    isAnyOf(query.devices, deviceOf(found)) &&
    (query.statuses === undefined || query.statuses.includes(statusOf(found))) &&
    query.codes.every(tokens => matchesAny(tokens, codingsOf(found, 'code'))) &&
    query.categories.every(tokens => matchesAny(tokens, codingsOf(found, 'category'))) &&
    query.identifiers.every(tokens => matchesAny(tokens, [identifierOf(found)])) &&
    matchesDates(query.dates, effectiveRange(found)) &&
    matchesDates(query.lastUpdated, [found.view.row.issued, found.view.row.issued + 1])
}

/** smart.md §6.1: a telemetry view belongs to the compartment of the patient of its association. */
export function isVisible (found: PublishedView, visibleTo: Visibility): boolean {
  return visibleTo.some(term => (term.patientId === undefined || term.patientId === found.context.patient) && term.filters.every(filter => matchesFilter(found, filter)))
}

/** When the Observation begins: what `_sort=date` goes by. */
export function startOf ({ view }: PublishedView): EpochMs {
  const effective = effectiveOf(view)
  return effective.at ?? effective.start
}

function matchesFilter (found: PublishedView, { parameter, anyOf }: VisibilityTerm['filters'][number]): boolean {
  switch (parameter) {
    case 'category':
    case 'code': return matchesAny(anyOf, codingsOf(found, parameter))
    case 'status': return matchesAny(anyOf, [{ system: STATUS_SYSTEM, code: statusOf(found) }])
    case 'device': {
      const { type, id } = deviceOf(found)
      return anyOf.some(token => token.system === undefined && (token.code === id || token.code === `${type}/${id}`))
    }
    // No search parameter of Observation: the term grants nothing here.
    case 'type': return false
  }
}

function statusOf ({ view }: PublishedView): string { return isEnded(view) ? 'entered-in-error' : view.row.status }

function subjectOf ({ frame, context }: PublishedView): { type: 'Patient' | 'Device', id: string } {
  return frame.mapping.file.subject === 'patient' ? { type: 'Patient', id: context.patient } : { type: 'Device', id: context.device }
}

function deviceOf ({ view, frame, context }: PublishedView): { type: 'Device' | 'DeviceMetric', id: string } {
  const metric = frame.mapping.file.device === 'reader' ? undefined : metricAt(context, frame.channel?.metric ?? view.row.metric, view.row.issued)
  return metric === undefined ? { type: 'Device', id: context.device } : { type: 'DeviceMetric', id: metric.id }
}

function codingsOf ({ view, frame }: PublishedView, parameter: 'code' | 'category'): readonly Coding[] {
  const texts = frame.mapping.file.views[view.kind]!
  return parameter === 'code' ? texts.code.coding : [texts.category]
}

function identifierOf ({ view, context }: PublishedView): Coding {
  const { kind, name } = nameOfView(view)
  return { system: identifierSystem(kind), code: `${context.association}/${name}` }
}

function isAnyOf (wanted: readonly { type: string, id: string }[] | undefined, found: { type: string, id: string }): boolean {
  return wanted === undefined || wanted.some(({ type, id }) => type === found.type && id === found.id)
}

function matchesDates (conditions: readonly (readonly DateCondition[])[], [from, until]: readonly [number, number]): boolean {
  return conditions.every(anyOf => anyOf.some(condition => matchesDate(condition, from, until)))
}

function effectiveRange ({ view }: PublishedView): [number, number] {
  const effective = effectiveOf(view)
  return effective.at === undefined ? [effective.start, effective.end + 1] : [effective.at, effective.at + 1]
}
