/** Effective time and value of a view as JSON text, by view kind. */

import { instant, viewId } from '../../model/identifier.ts'
import { viewName } from '../../model/view-ids.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Deficit, LastForm, ViewKind } from '../../model/window.ts'
import { METRIC_CODES } from '../words/code-allow-list.ts'
import { decimalText } from './decimal.ts'
import { SIGNAL_QUALITY } from './mapping.ts'
import { conceptText, durationText, type Frame, unitTail } from './observation-frame.ts'
import { derivedFromText } from './observation-source.ts'
import { metricAt, versionAt } from './view-context.ts'
import type { View } from './view-name.ts'

export interface ValueText {
  /** Value, components, members and sources, each with its comma before. */
  text: string
  /** No value can be given. */
  isAbsent: boolean
  /** So little is left that the profile of the view does not hold. */
  isBare: boolean
}

const ABSENT = 'http://terminology.hl7.org/CodeSystem/data-absent-reason'

export function isDerived (kind: ViewKind): boolean { return kind === 'mean' || kind === 'rate' || kind === 'deficit' }

/** When it was measured: a moment, or a period with its last moment. */
export type Effective = { at: EpochMs, start?: undefined } | { at?: undefined, start: EpochMs, end: EpochMs }

export function effectiveOf (view: View): Effective {
  const { row, kind } = view
  if (kind === 'single') return { at: view.sample!.takenAt }
  if (row.form.form === 'last') return { at: row.form.takenAt }
  if (kind === 'sampled' && row.form.form === 'sampled' && view.isWithdrawn !== true) {
    const { gridStart, tokenCount, periodMs } = row.form
    return { start: gridStart, end: Math.round(gridStart + tokenCount * periodMs) as EpochMs }
  }
  return { start: row.from, end: row.until }
}

export function effectiveText (view: View): string {
  const effective = effectiveOf(view)
  return effective.at === undefined
    ? `,"effectivePeriod":{"start":"${instant(effective.start)}","end":"${instant(effective.end)}"}`
    : `,"effectiveDateTime":"${instant(effective.at)}"`
}

export function valueText (view: View, frame: Frame, bundled?: ReadonlySet<string>): ValueText {
  const { row, kind } = view
  switch (kind) {
    case 'sampled':
      if (row.form.form !== 'sampled') return bare()
      return given(`${frame.sampledHead}${row.form.periodMs}${frame.sampledTail}${row.form.data}"}`)
    case 'single':
      return view.sample?.value === undefined ? bare() : given(`,"valueQuantity":${quantity(frame, view.sample.value)}`)
    case 'numeric': {
      const value = row.form.form === 'last' ? row.form.values[0]?.value : undefined
      return value === undefined ? bare() : given(`,"valueQuantity":${quantity(frame, value)}`)
    }
    case 'panel':
      return row.form.form === 'last' ? panel(view, frame, row.form, bundled) : bare()
    case 'mean':
    case 'rate':
      return statistic(view, frame, bundled)
    case 'deficit':
      return row.deficit === undefined ? bare() : deficit(view, frame, row.deficit, bundled)
  }
}

function given (text: string): ValueText { return { text, isAbsent: false, isBare: false } }

function bare (): ValueText { return { text: absent(), isAbsent: true, isBare: true } }

function absent (text?: string): string {
  return `,"dataAbsentReason":{"coding":[{"system":"${ABSENT}","code":"error"}]${text === undefined ? '' : `,"text":"${text}"`}}`
}

function quantity (frame: Frame, value: number): string {
  return `{"value":${decimalText(value, frame.resolution)}${unitTail(frame.unit, frame.unitText)}`
}

function component (code: string, value: string): string {
  return `{"code":{"coding":[{"system":"${METRIC_CODES}","code":"${code}"}]},${value}}`
}

function measured (code: string, value: string, unit: string, unitText: string): string {
  return component(code, `"valueQuantity":{"value":${value}${unitTail(unit, unitText)}`)
}

function statistic (view: View, frame: Frame, bundled: ReadonlySet<string> | undefined): ValueText {
  const statistics = view.row.statistics
  const value = view.kind === 'mean' ? statistics?.mean : statistics?.ratePerMinute
  const perMinute = view.kind === 'rate' ? '/min' : ''
  const components: string[] = []
  if (view.kind === 'rate' && value !== undefined && statistics?.residualSd !== undefined) {
    components.push(measured('residual-sd', decimalText(statistics.residualSd, frame.resolution), frame.unit, frame.unitText))
  }
  if (statistics !== undefined) components.push(measured('coverage-fraction', decimalText(statistics.coverage * 100, 0.1), '%', '%'))
  const text = value === undefined
    ? absent('coverage')
    : `,"valueQuantity":{"value":${decimalText(value, frame.resolution)}${unitTail(frame.unit + perMinute, frame.unitText + perMinute)}`
  return { text: text + list('component', components) + derivedFromText(view, frame, bundled), isAbsent: value === undefined, isBare: false }
}

function deficit (view: View, frame: Frame, found: Deficit, bundled: ReadonlySet<string> | undefined): ValueText {
  const { unit, unitText, resolution } = frame
  // Depths and doses stand one digit below the samples: they are averages and areas of them.
  const fine = resolution / 10
  const components = [measured('deficit-threshold', String(found.threshold), unit, unitText)]
  if (found.dose !== undefined) components.push(measured('deficit-dose', decimalText(found.dose, fine), `${unit}.min`, `${unitText}.min`))
  if (found.index !== undefined) components.push(measured('deficit-index', decimalText(found.index, 0.0001), '1', '1'))
  if (found.timeFraction !== undefined) components.push(measured('deficit-time-fraction', decimalText(found.timeFraction * 100, 0.1), '%', '%'))
  if (found.nadir !== undefined) components.push(measured('deficit-nadir', decimalText(found.nadir, resolution), unit, unitText))
  components.push(measured('coverage-fraction', decimalText(found.coverage * 100, 0.1), '%', '%'))
  components.push(component('deficit-max-gap', `"valueQuantity":${durationText(found.maxGapMs)}`))
  components.push(component('deficit-algorithm', '"valueString":"tod-1"'))
  const text = found.meanDepth === undefined ? absent('coverage') : `,"valueQuantity":{"value":${decimalText(found.meanDepth, fine)}${unitTail(unit, unitText)}`
  return { text: text + list('component', components) + derivedFromText(view, frame, bundled), isAbsent: found.meanDepth === undefined, isBare: false }
}

function panel (view: View, frame: Frame, form: LastForm, bundled: ReadonlySet<string> | undefined): ValueText {
  const components = form.values.map(({ metric, value }) => panelComponent(view, frame, metric, value))
  const members = view.member === undefined ? [] : [spo2Member(view, view.member, frame, bundled)]
  if (components.length === 0) return bare()
  return { text: list('hasMember', members) + list('component', components), isAbsent: false, isBare: false }
}

function spo2Member (view: View, metric: string, frame: Frame, bundled: ReadonlySet<string> | undefined): string {
  const name = viewName({ ...view.row, metric }, 'numeric')
  return frame.naming.observation(viewId(name.kind, view.row.sid, name.name), name, undefined, bundled)
}

function panelComponent (view: View, frame: Frame, metric: string, value: number): string {
  const channel = frame.pipeline.channel(frame.naming.context.model, metric)
  const of = channel?.kind ?? metric
  const mapped = frame.mapping.file.components?.find(candidate => candidate.of === of)
  const code = conceptText(mapped?.code ?? { coding: [{ system: METRIC_CODES, code: of }] })
  const unit = channel?.unit ?? (metric === SIGNAL_QUALITY ? '%' : '1')
  const tail = unitTail(unit, frame.mapping.unitText(unit))
  const limits = versionAt(metricAt(frame.naming.context, metric, view.row.issued)?.versions ?? [], view.row.issued)
  const low = limits?.alarmLow === undefined ? '' : `"low":{"value":${limits.alarmLow}${tail},`
  const high = limits?.alarmHigh === undefined ? '' : `"high":{"value":${limits.alarmHigh}${tail},`
  const range = low === '' && high === '' ? '' : `,"referenceRange":[{${low}${high}"type":{"coding":[{"system":"http://hl7.org/fhir/uv/pocd/CodeSystem/reference-range-type","code":"alarm-limits"}]}}]`
  return `{"code":${code},"valueQuantity":{"value":${decimalText(value, channel?.resolution ?? 1)}${tail}${range}}`
}

function list (element: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `,"${element}":[${items.join(',')}]`
}
