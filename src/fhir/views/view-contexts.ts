/** Sids → what views show around them (`view-context.ts`), read from the linkage store in batches and kept until it changes. */

import type { Device, DeviceMetric, Resource } from '@medplum/fhirtypes'
import type { Pool } from 'pg'
import type { Sid } from '../../model/reading.ts'
import { calibrationTexts } from '../../stores/linkage/calibration.ts'
import { firmwareTexts } from '../../stores/linkage/firmware.ts'
import { type DeviceFacts, deviceFacts, patientVersions, placesOf, type SidPlace, type VersionText } from '../../stores/linkage/sid-lookup.ts'
import { CALIBRATION_RECORD } from '../resources/calibration-record.ts'
import { DEMO_CODING } from '../words/demo-coding.ts'
import { firmwareOf, metricOf, RANGE_TYPES, REFERENCE_RANGE, telemetryName } from '../resources/device-rules.ts'
import { type DemoMark, type DeviceVersion, type MetricContext, type MetricVersion, versionAt, type ViewContext } from './view-context.ts'

export interface ViewContextsOptions {
  pool: Pool
  /** Contexts kept in memory. Default 10,000. */
  contextsMax?: number
}

export interface ViewContexts {
  /** A sid that does not exist is missing. @param firmware numbers that the windows to be shown hold: their texts are sure to be there */
  of (sids: readonly Sid[], firmware: Iterable<number>): Promise<ReadonlyMap<Sid, ViewContext>>
  /** What is kept of these Devices (logical ids) is forgotten. */
  forget (devices: readonly string[] | 'all'): void
}

export function createViewContexts ({ pool, contextsMax = 10_000 }: ViewContextsOptions): ViewContexts {
  const kept = new Map<Sid, ViewContext>()
  // Shared by all contexts: a number never changes its text.
  const firmware = new Map<number, string>()
  let generation = 0
  return {
    async of (sids, numbers) {
      const unknown = [...new Set(numbers)].filter(number => number !== 0 && !firmware.has(number))
      if (unknown.length > 0) for (const [number, text] of await firmwareTexts(pool, unknown)) firmware.set(number, text)
      const found = new Map<Sid, ViewContext>()
      const missing: Sid[] = []
      for (const sid of new Set(sids)) {
        const context = kept.get(sid)
        if (context === undefined) missing.push(sid)
        else found.set(sid, context)
      }
      if (missing.length === 0) return found
      const begun = generation
      for (const context of await loadContexts(pool, missing, firmware)) {
        found.set(context.sid, context)
        // What was read before a change may be old: it is shown, not kept.
        if (begun !== generation) continue
        if (kept.size >= contextsMax) kept.delete(kept.keys().next().value!)
        kept.set(context.sid, context)
      }
      return found
    },
    forget (devices) {
      generation++
      if (devices === 'all') {
        kept.clear()
        return
      }
      const changed = new Set(devices)
      for (const [sid, context] of kept) if (changed.has(context.device)) kept.delete(sid)
    }
  }
}

async function loadContexts (pool: Pool, sids: readonly Sid[], firmware: ReadonlyMap<number, string>): Promise<ViewContext[]> {
  const places = await placesOf(pool, sids)
  const facts = await deviceFacts(pool, [...new Set(places.map(({ device }) => device))])
  const patients = await patientVersions(pool, [...new Set(places.map(({ patient }) => patient))])
  const patientMarks = new Map([...patients].map(([id, versions]) => [id, versions.map(readMark)]))
  const devices = new Map([...facts].map(([id, one]) => [id, readDevice(one)]))
  return places.flatMap(place => {
    const device = devices.get(place.device)
    return device === undefined ? [] : [toContext(place, device, patientMarks.get(place.patient) ?? [], firmware)]
  })
}

type DeviceView = Pick<ViewContext, 'model' | 'deviceIdentifier' | 'deviceVersions' | 'metrics' | 'calibrations' | 'demoMarks'>

function toContext (place: SidPlace, device: DeviceView, patientMarks: readonly DemoMark[], firmware: ReadonlyMap<number, string>): ViewContext {
  const { sid, association, patient } = place
  return { ...device, sid, association, patient, device: place.device, firmware, demoMarks: eitherMarked(device.demoMarks, patientMarks) }
}

/** Where one of both becomes marked or stops to be. */
function eitherMarked (one: readonly DemoMark[], other: readonly DemoMark[]): DemoMark[] {
  const times = [...new Set([...one, ...other].map(({ recordedAt }) => recordedAt))].sort((a, b) => a - b)
  const marks = times.map(time => ({ recordedAt: time, isDemo: versionAt(one, time)?.isDemo === true || versionAt(other, time)?.isDemo === true }))
  return marks.filter(({ isDemo }, place) => isDemo !== marks[place - 1]?.isDemo)
}

function readDevice (facts: DeviceFacts): DeviceView {
  const device = JSON.parse(facts.text) as Device
  const telemetry = telemetryName(device)
  return {
    model: facts.model,
    deviceIdentifier: telemetry ?? '',
    deviceVersions: facts.versions.map(readDeviceVersion),
    metrics: readMetrics(facts.metricVersions, telemetry),
    calibrations: calibrationTexts(facts.calibrations),
    demoMarks: facts.versions.map(readMark)
  }
}

function readDeviceVersion ({ version, recordedAt, text }: VersionText): DeviceVersion {
  const firmware = firmwareOf(JSON.parse(text) as Device)
  return { versionId: version, recordedAt, ...(firmware === undefined ? {} : { firmware }) }
}

function readMetrics (versions: readonly VersionText[], telemetry: string | undefined): Map<string, MetricContext> {
  const metrics = new Map<string, MetricContext>()
  for (const [id, all] of Map.groupBy(versions, version => version.id)) {
    const named = all.flatMap(({ version, recordedAt, text }) => {
      const resource = JSON.parse(text) as DeviceMetric
      const metric = metricOf(resource, telemetry)
      return metric === undefined ? [] : [{ metric, version: readMetricVersion(version, recordedAt, resource) }]
    })
    // A DeviceMetric that has its name keeps it.
    const metric = named.at(-1)?.metric
    if (metric !== undefined) metrics.set(metric, { id, identifier: `${telemetry}/${metric}`, versions: named.map(({ version }) => version) })
  }
  return metrics
}

function readMetricVersion (versionId: number, recordedAt: MetricVersion['recordedAt'], metric: DeviceMetric): MetricVersion {
  const limits = metric.extension?.find(({ url, extension }) => url === REFERENCE_RANGE && extension?.some(inner =>
    inner.url === 'type' && inner.valueCodeableConcept?.coding?.some(coding => coding.system === RANGE_TYPES && coding.code === 'alarm-limits')))
  const side = (url: string) => limits?.extension?.find(inner => inner.url === url)?.valueQuantity?.value
  const record = metric.extension?.findLast(({ url }) => url === CALIBRATION_RECORD)
  const calibration = record?.extension?.find(({ url }) => url === 'version')?.valueString
  const alarmLow = side('low')
  const alarmHigh = side('high')
  return {
    versionId, recordedAt,
    ...(alarmLow === undefined ? {} : { alarmLow }),
    ...(alarmHigh === undefined ? {} : { alarmHigh }),
    ...(calibration === undefined ? {} : { calibration })
  }
}

function readMark ({ recordedAt, text }: VersionText): DemoMark {
  const { meta } = JSON.parse(text) as Resource
  return { recordedAt, isDemo: meta?.tag?.some(({ system, code }) => system === DEMO_CODING.system && code === DEMO_CODING.code) ?? false }
}
