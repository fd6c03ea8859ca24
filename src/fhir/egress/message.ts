/** Views of closed windows -> message Bundles for a receiver's own topic (fhir-modelling.md §8): they bring their Patient and Device along, as business identifiers,
 *  so that whoever reads one needs to ask nobody. */

import { VERSION } from '../../config/product.ts'
import { CANONICAL, identifierSystem, instant, uuidV5 } from '../../model/identifier.ts'
import { deviceEntry, type Naming, patientEntry, type PatientName } from '../views/naming.ts'
import type { FrameTools } from '../views/observation-frame.ts'
import { renderObservation } from '../views/observation-view.ts'
import { provenanceId, renderProvenance } from '../views/provenance-view.ts'
import type { View } from '../views/view-name.ts'
import type { BundlePart, BundleTimes } from './bundle.ts'

/** HL7 v2 table 0003: an unsolicited report of observations. */
const EVENT = '{"system":"http://terminology.hl7.org/CodeSystem/v2-0003","code":"R01"}'
/** No address: nobody answers a message that lies on a topic. */
const SOURCE = JSON.stringify({ name: 'Oxbow', software: 'Oxbow', version: VERSION, endpoint: `${CANONICAL}/telemetry` })

/** JSON text: MessageHeader first, then Patient, Device, Observations in order, Provenance last. Its id is the same whenever the same revisions are sent again: receivers know a repetition by it. @param naming of {@link messageNaming} */
export function buildMessage (parts: readonly BundlePart[], patient: PatientName, naming: Naming, tools: FrameTools, times: BundleTimes): string {
  const views = parts.flatMap(part => part.views)
  const bundled = new Set(views.map(view => view.id))
  const id = messageId(views)
  const options = { bundled, ...(times.recorded === undefined ? {} : { recorded: times.recorded }) }
  const entries = [
    entry(id, header(id, views)),
    entry(patientEntry(patient), `{"resourceType":"Patient","identifier":[${JSON.stringify(patient)}]}`),
    entry(deviceEntry(naming.context), deviceText(naming)),
    ...views.map(view => entry(view.id, renderObservation(view, naming, tools, bundled))),
    ...parts.filter(part => part.derived.length > 0).map(part => entry(provenanceId(part.derived[0]!.row), renderProvenance(part.derived, naming, tools, options)))
  ]
  return `{"resourceType":"Bundle","identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:${id}"},"type":"message","timestamp":"${instant(times.timestamp)}","entry":[${entries.join(',')}]}`
}

function entry (id: string, resource: string): string { return `{"fullUrl":"urn:uuid:${id}","resource":${resource}}` }

function messageId (views: readonly View[]): string { return uuidV5(`message|${views.map(({ id, row }) => `${id}/${row.revision}`).join('|')}`) }

function header (id: string, views: readonly View[]): string {
  const focus = views.map(view => `{"reference":"urn:uuid:${view.id}"}`).join(',')
  return `{"resourceType":"MessageHeader","id":"${id}","eventCoding":${EVENT},"source":${SOURCE},"focus":[${focus}]}`
}

function deviceText ({ context }: Naming): string {
  const identifier = `{"system":"${identifierSystem('telemetry-device')}","value":${JSON.stringify(context.deviceIdentifier)}}`
  return `{"resourceType":"Device","identifier":[${identifier}],"deviceName":[{"name":${JSON.stringify(context.model)},"type":"model-name"}]}`
}
