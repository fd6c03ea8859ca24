/** What the views must know of a sid from the linkage store: who, which device, and the texts behind the numbers of the series store. */

import type { ModelKey, Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'

/** One recorded version of a Device. */
export interface DeviceVersion {
  versionId: number
  recordedAt: EpochMs
  firmware?: string
}

/** Limits of one recorded version of a DeviceMetric; a side that is absent has no limit. */
export interface MetricVersion {
  versionId: number
  recordedAt: EpochMs
  alarmLow?: number
  alarmHigh?: number
  /** Text of the calibration record it holds. */
  calibration?: string
}

export interface MetricContext {
  /** Logical id of the DeviceMetric. */
  id: string
  /** Value of its identifier of system `device-metric`. */
  identifier: string
  /** Those that name the metric, ascending by versionId. */
  versions: readonly MetricVersion[]
}

/** Whether the patient or the device was marked DEMO from then on. */
export interface DemoMark { recordedAt: EpochMs, isDemo: boolean }

/** A new object whenever anything in it changed: the frames of the views are kept by it. */
export interface ViewContext {
  sid: Sid
  model: ModelKey
  /** Logical ids of DeviceUseStatement, Patient and Device. */
  association: string
  patient: string
  device: string
  /** Value of the Device's identifier of system `telemetry-device`. */
  deviceIdentifier: string
  /** Ascending by versionId. */
  deviceVersions: readonly DeviceVersion[]
  /** DeviceMetrics by metric name. */
  metrics: ReadonlyMap<string, MetricContext>
  /** Calibration texts by number. */
  calibrations: ReadonlyMap<number, string>
  /** Firmware texts by number. */
  firmware: ReadonlyMap<number, string>
  /** Ascending by recordedAt; the first also holds before it. None: never. */
  demoMarks: readonly DemoMark[]
}

/** Version in force at `time`: the newest recorded by then, else the first; `undefined` when there is none. */
export function versionAt<V extends { recordedAt: EpochMs }> (versions: readonly V[], time: EpochMs): V | undefined {
  let found = versions[0]
  for (const version of versions) if (version.recordedAt <= time) found = version
  return found
}

/** The DeviceMetric of a metric when it was there at `time`: one that comes later changes nothing already shown. */
export function metricAt (context: ViewContext, metric: string, time: EpochMs): MetricContext | undefined {
  const found = context.metrics.get(metric)
  return found === undefined || time < metricSince(found) ? undefined : found
}

export function metricSince ({ versions }: MetricContext): number { return Math.min(...versions.map(({ recordedAt }) => recordedAt)) }

export function isDemoAt ({ demoMarks }: ViewContext, time: EpochMs): boolean { return versionAt(demoMarks, time)?.isDemo ?? false }

/** The Device version that a firmware belongs to: the newest with this firmware recorded by `time`, else the one in force then. */
export function deviceVersionOf (context: ViewContext, firmware: number, time: EpochMs): DeviceVersion | undefined {
  const text = context.firmware.get(firmware)
  const same = text === undefined ? [] : context.deviceVersions.filter(version => version.firmware === text && version.recordedAt <= time)
  return same.at(-1) ?? versionAt(context.deviceVersions, time)
}
