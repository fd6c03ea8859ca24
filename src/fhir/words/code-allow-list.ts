/** The only codes of outside code systems, and the only UCUM units, the product may emit (fhir-modelling.md §3). */

import { CANONICAL } from '../../model/identifier.ts'

export const LOINC = 'http://loinc.org'
export const MDC = 'urn:iso:std:iso:11073:10101'
export const SNOMED = 'http://snomed.info/sct'
export const UCUM = 'http://unitsofmeasure.org'
export const METRIC_CODES = `${CANONICAL}/CodeSystem/tissue-oxygen-metric`
export const OBSERVATION_CATEGORIES = 'http://terminology.hl7.org/CodeSystem/observation-category'

/** Codes of arterial saturation: never on tissue oxygen. */
export const SPO2_CODES: ReadonlySet<string> = new Set([`${LOINC}|59408-5`, `${LOINC}|2708-6`, `${MDC}|150456`])

const ALLOWED: Readonly<Record<string, ReadonlySet<string>>> = {
  [LOINC]: new Set(['59408-5', '2708-6']),
  [MDC]: new Set(['150456', '266016', '262688', '67996', '67976', '67925', '531976', '531974', '531975', '531977']),
  [SNOMED]: new Set(['431314004', '442476006', '103228002', '464734005', '56459004']),
  [OBSERVATION_CATEGORIES]: new Set(['vital-signs'])
}

/** `mmHg` and `torr` are not UCUM: they are fine as text only. */
const UNITS: ReadonlySet<string> = new Set(['mm[Hg]', '%', 'umol/L', 'g/dL', 'mV', 'ms', 's', 'h', '1'])

/** True for codes of our own systems and for the listed ones of others. */
export function isAllowedCode (system: string, code: string): boolean {
  return system.startsWith(`${CANONICAL}/CodeSystem/`) || (ALLOWED[system]?.has(code) ?? false)
}

/** A unit of a channel; its `/min` and `.min` follow from it. */
export function isAllowedUnit (code: string): boolean { return UNITS.has(code) }
