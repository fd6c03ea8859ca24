/** Invented wearers and their devices → Patients, Devices and associations, through `POST /fhir` as any other client creates them. */

import { ServiceError } from '../model/errors.ts'
import { identifierSystem } from '../model/identifier.ts'

export interface Bed {
  /** Family name and identifier of the patient. */
  name: string
  /** Telemetry identifier. */
  device: string
  manufacturer: string
  modelNumber: string
}

export interface AdmissionParts {
  address: string
  /** Must open `system/*.cruds`. */
  token: () => Promise<string>
  signal: AbortSignal
  /** Of the patients' identifiers. */
  patientSystem: string
  /** Told after each Bundle, with how many beds are there. */
  onAdmitted?: (beds: number) => void
}

const WORN_SINCE = '2026-01-01T00:00:00.000Z'
/** A Bundle takes 1000 entries by default, a bed has three. */
const BEDS_PER_BUNDLE = 100

/** Conditional creates: a second admission finds everybody where they were. @throws ServiceError when the server refuses or does not answer */
export async function admit (beds: readonly Bed[], parts: AdmissionParts): Promise<void> {
  for (let start = 0; start < beds.length && !parts.signal.aborted; start += BEDS_PER_BUNDLE) {
    const some = beds.slice(start, start + BEDS_PER_BUNDLE)
    const entry = some.flatMap((bed, index) => entriesOf(bed, index, parts.patientSystem))
    await post(JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry }), parts)
    parts.onAdmitted?.(start + some.length)
  }
}

async function post (body: string, { address, token, signal }: AdmissionParts): Promise<void> {
  const headers = { 'Content-Type': 'application/fhir+json', Authorization: `Bearer ${await token()}` }
  const answer = await fetch(new URL('/fhir', address), { method: 'POST', headers, body, signal }).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', 'the patients and devices were not admitted: the server does not answer', { cause })
  })
  if (answer.ok) {
    await answer.arrayBuffer()
    return
  }
  const outcome = await answer.json().catch(() => undefined) as { issue?: readonly { diagnostics?: string }[] } | undefined
  throw new ServiceError('incorrect', 'HTTP_REFUSED', `the patients and devices were not admitted: the server answered ${answer.status} (${outcome?.issue?.[0]?.diagnostics ?? 'it says no more'})`)
}

function entriesOf (bed: Bed, index: number, patientSystem: string): object[] {
  const [patient, device, association] = [1, 2, 3].map(kind => `urn:uuid:00000000-0000-4000-8000-${kind}${String(index).padStart(11, '0')}`) as [string, string, string]
  return [
    entry('Patient', patient, { identifier: [{ system: patientSystem, value: bed.name }], name: [{ family: bed.name, given: ['DEMO'] }], gender: 'unknown' }),
    entry('Device', device, {
      identifier: [{ system: identifierSystem('telemetry-device'), value: bed.device }],
      status: 'active',
      manufacturer: bed.manufacturer,
      modelNumber: bed.modelNumber,
      deviceName: [{ name: `DEMO ${bed.modelNumber}`, type: 'user-friendly-name' }]
    }),
    entry('DeviceUseStatement', association, {
      identifier: [{ system: identifierSystem('device-association'), value: `${bed.device}/${WORN_SINCE}` }],
      status: 'active',
      subject: { reference: patient },
      timingPeriod: { start: WORN_SINCE },
      device: { reference: device }
    })
  ]
}

interface Identified { identifier: readonly { system: string, value: string }[], [element: string]: unknown }

function entry (type: string, fullUrl: string, resource: Identified): object {
  const [{ system, value } = { system: '', value: '' }] = resource.identifier
  return { fullUrl, resource: { resourceType: type, ...resource }, request: { method: 'POST', url: type, ifNoneExist: `identifier=${encodeURIComponent(`${system}|${value}`)}` } }
}
