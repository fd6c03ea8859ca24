/** Transaction Bundles of patients, devices and associations for end-to-end tests. */

import { randomUUID } from 'node:crypto'

export const TELEMETRY_DEVICE = 'https://oxbow-fhir.github.io/ig/identifier/telemetry-device'

export interface Wearing {
  deviceId: string
  /** `manufacturer/modelNumber`; default the example reader. */
  model?: string
  mrn: string
  family?: string
  serialNumber?: string
  start: string
  end?: string
}

export function wearingBundle (wearings: readonly Wearing[]): object {
  return { resourceType: 'Bundle', type: 'transaction', entry: wearings.flatMap(wearing => entriesOf(wearing)) }
}

function entriesOf ({ deviceId, model = 'Example Sensors Inc./TO2-READER-2', mrn, family = 'Test', serialNumber, start, end }: Wearing): object[] {
  const [patient, device] = [`urn:uuid:${randomUUID()}`, `urn:uuid:${randomUUID()}`]
  const split = model.indexOf('/')
  return [
    entry('Patient', patient, { identifier: [{ system: 'urn:oid:2.16.840.1.113883.19.5', value: mrn }], name: [{ family }] }, `identifier=urn:oid:2.16.840.1.113883.19.5|${mrn}`),
    entry('Device', device, {
      identifier: [{ system: TELEMETRY_DEVICE, value: deviceId }],
      status: 'active',
      manufacturer: model.slice(0, split),
      modelNumber: model.slice(split + 1),
      ...(serialNumber === undefined ? {} : { serialNumber })
    }, `identifier=${TELEMETRY_DEVICE}|${deviceId}`),
    entry('DeviceUseStatement', `urn:uuid:${randomUUID()}`, {
      status: end === undefined ? 'active' : 'completed',
      subject: { reference: patient },
      device: { reference: device },
      timingPeriod: { start, ...(end === undefined ? {} : { end }) }
    })
  ]
}

function entry (type: string, fullUrl: string, resource: object, ifNoneExist?: string): object {
  return { fullUrl, resource: { resourceType: type, ...resource }, request: { method: 'POST', url: type, ...(ifNoneExist === undefined ? {} : { ifNoneExist }) } }
}
