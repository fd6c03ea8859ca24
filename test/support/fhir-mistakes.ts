/** Resources with one mistake each, and unusual ones without: what every judge of FHIR must tell apart. */

import { CANONICAL } from '../../src/model/identifier.ts'
import type { Finding } from '../../src/fhir/validation/finding.ts'
import { goldenOf, type Json, METRICS, readmeBundle, readmeResource } from './valid-resources.ts'

const PROFILE = `${CANONICAL}/StructureDefinition/`

/** Changes a copy: `path` as in `component[1].valueQuantity.code`; `undefined` removes. */
export function changed (resource: Json, path: string, value: unknown): Json {
  const copy = structuredClone(resource)
  const steps = path.split(/[.[\]]+/).filter(step => step !== '')
  let at: Json = copy
  for (const step of steps.slice(0, -1)) at = at[step] as Json
  const last = steps.at(-1)!
  if (value === undefined) delete at[last]
  else at[last] = value
  return copy
}

const SAMPLED = goldenOf('tissue-po2', 'tissue-oxygen-sampled')
const DERIVED = goldenOf('tissue-po2', 'tissue-oxygen-derived')
const DEFICIT = goldenOf('tissue-po2', 'tissue-oxygen-deficit')
const NUMERIC = goldenOf('tissue-po2', 'tissue-oxygen-numeric')
const PANEL = goldenOf('panel', 'tissue-oxygen-panel')
const SPO2 = goldenOf('spo2', 'tissue-oxygen-spo2')
const BATTERY = goldenOf('battery-voltage', 'device-technical-observation')
export const PATIENT = readmeResource('Patient')
const DEVICE = readmeResource('Device')
export const ASSOCIATION = { ...readmeResource('DeviceUseStatement'), subject: { reference: 'Patient/1' }, device: { reference: 'Device/1' } }
const METRIC = METRICS[0]!
const BARE = { resourceType: 'Observation', status: 'final', code: { text: 'any' } }

/** [what is wrong, the resource, where it must be found, code] */
export type Mistake = readonly [what: string, resource: unknown, expression: string, code: Finding['code']]

export const LISTED: readonly Mistake[] = [
  ['(a) no status', changed(SAMPLED, 'status', undefined), 'Observation.status', 'required'],
  ['(b) status done', changed(SAMPLED, 'status', 'done'), 'Observation.status', 'code-invalid'],
  ['(c) SampledData without period', changed(SAMPLED, 'valueSampledData.period', undefined), 'Observation.value.period', 'required'],
  ['(d) token NaN', changed(SAMPLED, 'valueSampledData.data', '41.2 NaN 41.3'), 'Observation.value', 'invariant'],
  ['(e) value and dataAbsentReason', changed(NUMERIC, 'dataAbsentReason', { text: 'none' }), 'Observation', 'invariant'],
  ['(f) SpO2 without 2708-6', changed(SPO2, 'code.coding[1]', { system: 'http://loinc.org', code: '59408-5' }), 'Observation.code.coding', 'required'],
  ['(g) UCUM mmHg', changed(NUMERIC, 'valueQuantity.code', 'mmHg'), 'Observation.value.code', 'code-invalid'],
  ['(h) start after end', changed(SAMPLED, 'effectivePeriod.start', '2026-02-12T08:30:00.000Z'), 'Observation.effective', 'invariant'],
  ['(i) transaction entry without request', changed(readmeBundle(), 'entry[1].request', undefined), 'Bundle', 'invariant'],
  ['(k) LOINC 99999-9', changed(SPO2, 'code.coding[2]', { system: 'http://loinc.org', code: '99999-9' }), 'Observation.code.coding[2].code', 'code-invalid'],
  ['(l) an empty array', changed(PANEL, 'component[0].referenceRange', []), 'Observation.component[0].referenceRange', 'structure'],
  ['(l) an empty object', changed(PANEL, 'component[0].valueQuantity', {}), 'Observation.component[0].value', 'invariant']
]

export const FURTHER: readonly Mistake[] = [
  ['an empty text', changed(PATIENT, 'name[0].family', ''), 'Patient.name[0].family', 'value'],
  ['an unknown property', changed(PATIENT, 'favourite', 'blue'), 'Patient', 'structure'],
  ['an unknown property of a part', changed(PANEL, 'component[0].colour', 'red'), 'Observation.component[0]', 'structure'],
  ['a list where one value stands', changed(PATIENT, 'gender', ['male']), 'Patient.gender', 'value'],
  ['one value where a list stands', changed(PATIENT, 'name', { family: 'Example' }), 'Patient.name', 'structure'],
  ['null', changed(PATIENT, 'gender', null), 'Patient.gender', 'value'],
  ['a number for a text', changed(PATIENT, 'name[0].family', 7), 'Patient.name[0].family', 'value'],
  ['a text for a number', changed(NUMERIC, 'valueQuantity.value', '7'), 'Observation.value.value', 'value'],
  ['a day that is none', changed(PATIENT, 'birthDate', '1970-02-30'), 'Patient.birthDate', 'value'],
  ['a date of another form', changed(PATIENT, 'birthDate', '01.02.1970'), 'Patient.birthDate', 'value'],
  ['an instant without zone', changed(NUMERIC, 'issued', '2026-02-11T08:31:31'), 'Observation.issued', 'value'],
  ['an id with a blank', changed(PATIENT, 'id', 'a b'), 'Patient.id', 'value'],
  ['a gender outside its value set', changed(PATIENT, 'gender', 'm'), 'Patient.gender', 'code-invalid'],
  ['a calibration state outside its value set', changed(METRIC, 'calibration[0].state', 'fine'), 'DeviceMetric.calibration[0].state', 'code-invalid'],
  ['a category of a DeviceMetric that does not exist', changed(METRIC, 'category', 'guess'), 'DeviceMetric.category', 'code-invalid'],
  ['a reference of a wrong type', changed(ASSOCIATION, 'subject.reference', 'Device/1'), 'DeviceUseStatement.subject.reference', 'value'],
  ['a reference to a type that does not exist', changed(ASSOCIATION, 'subject.reference', 'Person1/1'), 'DeviceUseStatement.subject.reference', 'value'],
  ['a reference whose type says otherwise', changed(ASSOCIATION, 'subject', { reference: 'Patient/1', type: 'Group' }), 'DeviceUseStatement.subject.type', 'value'],
  ['a reference to a contained resource that is not there', changed(ASSOCIATION, 'source', { reference: '#who' }), 'DeviceUseStatement.source', 'invariant'],
  ['two forms of one choice', changed(NUMERIC, 'valueString', 'six'), 'Observation.value', 'structure'],
  ['two forms of one choice, one by its extensions', changed(NUMERIC, '_valueString', { extension: [{ url: 'http://a.example/x', valueString: 'y' }] }), 'Observation.value', 'structure'],
  ['an extension with value and extensions', changed(PATIENT, 'extension', [{ url: 'http://a.example/x', valueString: 'y', extension: [{ url: 'z', valueString: 'z' }] }]), 'Patient.extension[0]', 'invariant'],
  ['an extension that says nothing', changed(PATIENT, 'extension', [{ url: 'http://a.example/x' }]), 'Patient.extension[0]', 'invariant'],
  ['a telecom without system', changed(PATIENT, 'telecom', [{ value: '1' }]), 'Patient.telecom[0]', 'invariant'],
  ['a contact without anything', changed(PATIENT, 'contact', [{ gender: 'male' }]), 'Patient.contact[0]', 'invariant'],
  ['an OID that is none', changed(PATIENT, 'identifier[0].system', 'urn:oid:3.x'), 'Patient.identifier[0].system', 'value'],
  ['a script in the narrative', changed(PATIENT, 'text', { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml"><script>1</script>a</div>' }), 'Patient.text.div', 'value'],
  ['a repeat without its unit', changed(METRIC, 'measurementPeriod.repeat.periodUnit', undefined), 'DeviceMetric.measurementPeriod.repeat', 'invariant'],
  ['data that are no base64', changed(PATIENT, 'photo', [{ contentType: 'image/png', data: '*' }]), 'Patient.photo[0].data', 'value'],
  ['a component that repeats the code', changed({ ...NUMERIC, component: [{ code: NUMERIC['code'], valueString: 'x' }] }, 'language', 'en'), 'Observation', 'invariant'],
  ['L without lowerLimit', changed(SAMPLED, 'valueSampledData', { origin: { value: 0 }, period: 1000, dimensions: 1, data: '1 L' }), 'Observation.value', 'invariant'],
  ['a comparator on a SimpleQuantity', changed(SAMPLED, 'valueSampledData.origin.comparator', '<'), 'Observation.value.origin', 'structure'],
  ['a contained resource that nobody refers to', { ...PATIENT, contained: [{ resourceType: 'Organization', id: 'o', name: 'A' }] }, 'Patient', 'invariant'],
  ['a contained resource without id', { ...PATIENT, contained: [{ resourceType: 'Organization', name: 'A' }] }, 'Patient.contained[0].id', 'required'],
  ['a wrong contained resource', { ...PATIENT, managingOrganization: { reference: '#o' }, contained: [{ resourceType: 'Organization', id: 'o', name: 7 }] }, 'Patient.contained[0].name', 'value'],
  ['a reference to a contained resource of a wrong type', { ...PATIENT, managingOrganization: { reference: '#p' }, contained: [{ resourceType: 'Practitioner', id: 'p' }] }, 'Patient.managingOrganization.reference', 'value']
]

/** As {@link Mistake}, with the profile that forbids it. */
export const OF_PROFILES: readonly (readonly [...Mistake, profile: string])[] = [
  ['tissue oxygen called a vital sign', changed(SAMPLED, 'category[1]', { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] }), 'Observation', 'invariant', 'tissue-oxygen-sampled'],
  ['tissue oxygen with a LOINC code', changed(SAMPLED, 'code.coding[1]', { system: 'http://loinc.org', code: '2708-6' }), 'Observation', 'invariant', 'tissue-oxygen-sampled'],
  ['a code that may not be emitted', changed(SPO2, 'code.coding[2]', { system: 'http://snomed.info/sct', code: '386725007' }), 'Observation.code.coding[2]', 'code-invalid', 'tissue-oxygen-spo2'],
  ['a window without category', changed(SAMPLED, 'category', undefined), 'Observation.category', 'required', 'tissue-oxygen-sampled'],
  ['a window without DeviceMetric', changed(SAMPLED, 'device.reference', 'Device/1'), 'Observation.device.reference', 'value', 'tissue-oxygen-sampled'],
  ['a window at a moment', changed(changed(SAMPLED, 'effectivePeriod', undefined), 'effectiveDateTime', '2026-02-11T08:30:00Z'), 'Observation.effective', 'structure', 'tissue-oxygen-sampled'],
  ['a token too few', changed(SAMPLED, 'valueSampledData.data', '1 2 3'), 'Observation', 'invariant', 'tissue-oxygen-sampled'],
  ['a window in kPa', changed(SAMPLED, 'valueSampledData.origin.code', 'kPa'), 'Observation.value.origin.code', 'code-invalid', 'tissue-oxygen-sampled'],
  ['two dimensions', changed(SAMPLED, 'valueSampledData.dimensions', 2), 'Observation.value.dimensions', 'value', 'tissue-oxygen-sampled'],
  ['a view that does not say what made it', changed(NUMERIC, 'extension', undefined), 'Observation', 'invariant', 'tissue-oxygen-numeric'],
  ['a panel with a value', changed(PANEL, 'valueInteger', 1), 'Observation.value', 'structure', 'tissue-oxygen-panel'],
  ['a panel without components', changed(PANEL, 'component', undefined), 'Observation.component', 'required', 'tissue-oxygen-panel'],
  ['a component in kPa', changed(PANEL, 'component[0].valueQuantity.code', 'kPa'), 'Observation.component[0]', 'invariant', 'tissue-oxygen-panel'],
  ['a derived value that comes from nothing', changed(DERIVED, 'derivedFrom', undefined), 'Observation.derivedFrom', 'required', 'tissue-oxygen-derived'],
  ['a derived value without window', changed(DERIVED, 'extension', (DERIVED['extension'] as Json[]).slice(0, 1)), 'Observation', 'invariant', 'tissue-oxygen-derived'],
  ['neither value nor reason', changed(DERIVED, 'valueQuantity', undefined), 'Observation', 'invariant', 'tissue-oxygen-derived'],
  ['a deficit without threshold', changed(DEFICIT, 'component', (DEFICIT['component'] as Json[]).slice(1)), 'Observation', 'invariant', 'tissue-oxygen-deficit'],
  ['a deficit with the demands of derived values', changed(DEFICIT, 'issued', undefined), 'Observation.issued', 'required', 'tissue-oxygen-derived'],
  ['a battery of a patient', changed(BATTERY, 'subject.reference', 'Patient/1'), 'Observation.subject.reference', 'value', 'device-technical-observation'],
  ['SpO2 in another unit', changed(SPO2, 'valueQuantity.code', '1'), 'Observation.value.code', 'value', 'oxygensat'],
  ['SpO2 as text', changed(changed(SPO2, 'valueQuantity', undefined), 'valueString', '97'), 'Observation.value', 'structure', 'oxygensat'],
  ['SpO2 without the vital-signs category', changed(SPO2, 'category', [{ text: 'none' }]), 'Observation.category', 'required', 'vitalsigns'],
  ['SpO2 of a device', changed(SPO2, 'subject.reference', 'Device/1'), 'Observation.subject.reference', 'value', 'vitalsigns'],
  ['SpO2 given to the month', changed(SPO2, 'effectiveDateTime', '2026-02'), 'Observation.effective', 'invariant', 'vitalsigns'],
  ['a reader without a telemetry name', changed(DEVICE, 'identifier[0].system', 'http://a.example/ids'), 'Device', 'invariant', 'tissue-oxygen-device'],
  ['a reader without model', changed(DEVICE, 'modelNumber', undefined), 'Device.modelNumber', 'required', 'tissue-oxygen-device'],
  ['a channel without unit', changed(METRIC, 'unit', undefined), 'DeviceMetric.unit', 'required', 'tissue-oxygen-metric-channel'],
  ['a channel without UCUM', changed(METRIC, 'unit', { text: 'mmHg' }), 'DeviceMetric', 'invariant', 'tissue-oxygen-metric-channel'],
  ['an association without begin', changed(ASSOCIATION, 'timingPeriod', { end: '2026-01-01T00:00:00Z' }), 'DeviceUseStatement.timing.start', 'required', 'device-patient-association'],
  ['an association at a moment', changed(changed(ASSOCIATION, 'timingPeriod', undefined), 'timingDateTime', '2026-01-01'), 'DeviceUseStatement.timing', 'structure', 'device-patient-association'],
  ['an association of a group', changed(ASSOCIATION, 'subject.reference', 'Group/1'), 'DeviceUseStatement.subject.reference', 'value', 'device-patient-association'],
  ['provenance without pipeline', changed(NUMERIC, 'extension[0].extension', ((NUMERIC['extension'] as Json[])[0]!['extension'] as Json[]).slice(1)), 'Observation.extension[0].extension', 'required', 'processing-provenance'],
  ['provenance with a number for a text', changed(NUMERIC, 'extension[0].extension[0]', { url: 'pipelineVersion', valueInteger: 1 }), 'Observation.extension[0].extension[0].value', 'structure', 'processing-provenance'],
  ['provenance with a part that is not defined', changed(NUMERIC, 'extension[0].extension[0]', { url: 'mood', valueString: 'good' }), 'Observation.extension[0].extension[0]', 'structure', 'processing-provenance'],
  ['a window of a kind that does not exist', changed(DERIVED, 'extension[1].extension[0].valueCode', 'round'), 'Observation.extension[1].extension[0].value', 'code-invalid', 'window'],
  ['a calibration model that does not exist', changed(METRIC, 'extension', [...METRIC['extension'] as Json[], { url: `${PROFILE}calibration-record`, extension: [{ url: 'model', valueCode: 'guess' }] }]), 'DeviceMetric.extension[1].extension[0].value', 'code-invalid', 'calibration-record'],
  ['a profile of another type', changed(PATIENT, 'meta', { profile: [`${PROFILE}tissue-oxygen-device`] }), 'Patient.meta.profile[0]', 'value', 'tissue-oxygen-device']
]

/** Unusual and right. */
export const RIGHT: readonly (readonly [what: string, resource: unknown])[] = [
  ['version-specific references, absolute ones, urn:uuid and identifiers alone', { ...ASSOCIATION, subject: { reference: 'Patient/1/_history/4' }, source: { reference: 'https://ehr.example/fhir/Practitioner/9/_history/2' }, device: { identifier: { value: 'x' } } }],
  ['a conditional reference', changed(ASSOCIATION, 'subject.reference', 'Patient?identifier=urn:oid:1.2|3')],
  ['an absolute address of no FHIR server', changed(ASSOCIATION, 'source', { reference: 'https://ehr.example/people/7' })],
  ['extensions of primitives', { ...PATIENT, _birthDate: { extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/patient-birthTime', valueDateTime: '1970-01-01T10:00:00Z' }] } }],
  ['a primitive that has only extensions', { ...BARE, _status: { extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }] }, status: undefined }],
  ['a list of primitives with gaps for extensions', { ...PATIENT, name: [{ given: ['Robin', null], _given: [null, { extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }] }] }] }],
  ['a contained resource', { ...PATIENT, managingOrganization: { reference: '#o' }, contained: [{ resourceType: 'Organization', id: 'o', name: 'A' }] }],
  ['a contained resource that refers to its container', { ...PATIENT, contained: [{ resourceType: 'RelatedPerson', id: 'r', patient: { reference: '#' } }] }],
  ['a SNOMED code that we never emit, in what a client stores', changed(ASSOCIATION, 'bodySite', { coding: [{ system: 'http://snomed.info/sct', code: '386725007' }] })],
  ['a leap day and a date to the month', { ...PATIENT, birthDate: '2024-02-29', deceasedDateTime: '2026-03' }],
  ['periods of one moment and of different precision', { ...PATIENT, address: [{ period: { start: '2026-02-11', end: '2026-02-11' } }, { period: { start: '2026-02-11', end: '2026-02-12T00:00:00Z' } }] }],
  ['a period over a change of zone', { ...PATIENT, address: [{ period: { start: '2026-02-11T10:00:00+02:00', end: '2026-02-11T08:30:00Z' } }] }],
  ['a narrative', { ...PATIENT, text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml"><p>Robin</p></div>' } }],
  ['a withdrawn window without profile', { ...changed(changed(SAMPLED, 'valueSampledData', undefined), 'meta.profile', undefined), status: 'entered-in-error' }],
  ['a mean without a value', { ...changed(DERIVED, 'valueQuantity', undefined), dataAbsentReason: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/data-absent-reason', code: 'error' }], text: 'coverage' } }],
  ['the base type as profile, with a version', changed(PATIENT, 'meta', { profile: ['http://hl7.org/fhir/StructureDefinition/Patient|4.0.1'] })]
]
