/** How a view names other resources: on this server by reference, in a Bundle for another system by urn:uuid and identifier. */

import { identifierSystem, uuidV5 } from '../../model/identifier.ts'
import type { ViewContext } from './view-context.ts'
import type { ViewName } from './view-name.ts'

/** All members give JSON text of a Reference. Frames of the views are kept by the object, so it is made once per context. */
export interface Naming {
  context: ViewContext
  /** With `id`, `meta.versionId` and `meta.lastUpdated`. */
  isStored: boolean
  patient: string
  reader: string
  readerVersion (versionId: number | undefined): string
  /** The DeviceMetric of the metric; the reader where it has none. */
  metric (metric: string): string
  /** The software that computed it. */
  software (pipelineVersion: string): string
  /** The calibration of this text, as the version of the DeviceMetric that recorded it. */
  calibration (metric: string, text: string): string
  /** `version` absent: whatever is current. `bundled`: ids of the Observations in the same Bundle. */
  observation (id: string, name: ViewName, version: number | undefined, bundled?: ReadonlySet<string>): string
}

/** References of this server (fhir-modelling.md §4 rule 7: version-specific where a version is given). */
export function serverNaming (context: ViewContext): Naming {
  const reader = reference(`Device/${context.device}`)
  return {
    context,
    isStored: true,
    patient: reference(`Patient/${context.patient}`),
    reader,
    readerVersion: versionId => versionId === undefined ? reader : reference(`Device/${context.device}/_history/${versionId}`),
    metric: metric => {
      const found = context.metrics.get(metric)
      return found === undefined ? reader : reference(`DeviceMetric/${found.id}`)
    },
    software: version => reference(`Device/${softwareId(version)}`),
    calibration: (metric, text) => {
      const found = context.metrics.get(metric)
      const version = found?.versions.find(candidate => candidate.calibration === text)
      const named = logical('calibration', text)
      return found === undefined || version === undefined ? named : `{"reference":"DeviceMetric/${found.id}/_history/${version.versionId}",${named.slice(1)}`
    },
    observation: (id, _name, version) => reference(version === undefined ? `Observation/${id}` : `Observation/${id}/_history/${version}`)
  }
}

/** Identifier under which a receiver knows a patient. */
export interface PatientName { system: string, value: string }

/** References for a receiver that does not hold our Devices; `patient` is found there by its identifier. */
export function bundleNaming (context: ViewContext, patient: PatientName): Naming {
  const reader = logical('telemetry-device', context.deviceIdentifier)
  return {
    context,
    isStored: false,
    patient: reference(`Patient?identifier=${encodeURIComponent(`${patient.system}|${patient.value}`)}`),
    reader,
    readerVersion: () => reader,
    metric: metric => {
      const found = context.metrics.get(metric)
      return found === undefined ? reader : logical('device-metric', found.identifier)
    },
    software: version => logical('software', `oxbow-pipeline@${version}`),
    calibration: (_metric, text) => logical('calibration', text),
    observation: (id, name, _version, bundled) => bundled?.has(id)
      ? reference(`urn:uuid:${id}`)
      : `{"type":"Observation",${logical(name.kind, `${context.association}/${name.name}`).slice(1)}`
  }
}

/** References inside a message, which brings its Patient and its Device along. */
export function messageNaming (context: ViewContext, patient: PatientName): Naming {
  const { metric, ...named } = bundleNaming(context, patient)
  const reader = reference(`urn:uuid:${deviceEntry(context)}`)
  return { ...named, patient: reference(`urn:uuid:${patientEntry(patient)}`), reader, readerVersion: () => reader, metric: name => context.metrics.has(name) ? metric(name) : reader }
}

/** Ids of the entries that {@link messageNaming} refers to. */
export function patientEntry ({ system, value }: PatientName): string { return uuidV5(`${system}|${value}`) }

export function deviceEntry ({ deviceIdentifier }: ViewContext): string { return uuidV5(`${identifierSystem('telemetry-device')}|${deviceIdentifier}`) }

/** Logical id of the Device that stands for a version of the pipeline. */
export function softwareId (pipelineVersion: string): string { return `pipeline-${pipelineVersion.replaceAll(/[^A-Za-z0-9]/g, '-')}` }

export function reference (target: string): string { return `{"reference":${JSON.stringify(target)}}` }

/** A reference by identifier alone. */
export function logical (kind: Parameters<typeof identifierSystem>[0], value: string): string {
  return `{"identifier":{"system":"${identifierSystem(kind)}","value":${JSON.stringify(value)}}}`
}
