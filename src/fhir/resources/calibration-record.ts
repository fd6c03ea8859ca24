/** Extension `calibration-record` of a DeviceMetric → the calibrations it holds, checked (fhir-modelling.md §2.1 'Calibration'). Pure. */

import type { DeviceMetric, Extension, Quantity } from '@medplum/fhirtypes'
import type { Calibration, CalibrationKind } from '../../model/calibration.ts'
import { CANONICAL } from '../../model/identifier.ts'
import { toRange, type Span } from '../../stores/linkage/span.ts'
import { readPeriod, ruleBroken } from './business-rule.ts'
import { UCUM } from '../words/code-allow-list.ts'

export const CALIBRATION_RECORD = `${CANONICAL}/StructureDefinition/calibration-record`

export interface CalibrationRecord {
  version: string
  kind: CalibrationKind
  coefficients: Readonly<Record<string, number>>
  effective: Span
  /** The same text for the same meaning: two records of one version are compared by it. */
  normalText: string
}

interface Coefficient { value: number, unit: string }

const AT = 'DeviceMetric.extension(calibration-record)'
const VERSION_LENGTH_MAX = 256
const TIME_UNITS = new Set(['s', 'ms', 'us', 'ns'])
const POLYNOMIAL_NAMES = new Set(Array.from({ length: 10 }, (_, power) => `c${power}`))
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** In the order of the resource. @param unit UCUM code of the DeviceMetric @throws ServiceError FHIR_BUSINESS_RULE */
export function readCalibrations (metric: DeviceMetric, unit: string | undefined): CalibrationRecord[] {
  const records = (metric.extension ?? []).filter(extension => extension.url === CALIBRATION_RECORD).map(extension => readRecord(extension, unit))
  if (new Set(records.map(record => record.version)).size !== records.length) throw ruleBroken(`${AT}.version`, 'stands twice')
  return records
}

/** State of the newest `DeviceMetric.calibration`. */
export function calibrationState (metric: DeviceMetric): Calibration['state'] {
  return metric.calibration?.at(-1)?.state ?? 'unspecified'
}

function readRecord (extension: Extension, unit: string | undefined): CalibrationRecord {
  const version = part(extension, 'version')?.valueString
  if (version === undefined || version.trim() === '') throw ruleBroken(`${AT}.version`, 'a calibration needs a version')
  if (version.length > VERSION_LENGTH_MAX) throw ruleBroken(`${AT}.version`, `is longer than ${VERSION_LENGTH_MAX} characters`)
  const kind = readKind(part(extension, 'model')?.valueCode)
  const coefficients = readCoefficients(extension)
  assertModel(kind, coefficients, unit)
  const effective = readPeriod(`${AT}.effective`, part(extension, 'effective')?.valuePeriod)
  const digest = part(extension, 'digest')?.valueString
  if (digest !== undefined && !DIGEST.test(digest)) throw ruleBroken(`${AT}.digest`, 'must be sha256: and 64 lower case hexadecimal digits')
  const entries = [...coefficients].sort(([one], [other]) => one < other ? -1 : 1)
  return {
    version,
    kind,
    coefficients: Object.fromEntries(entries.map(([name, { value }]) => [name, value])),
    effective,
    normalText: JSON.stringify([version, kind, entries, toRange(effective), digest ?? null, part(extension, 'supersedes')?.valueString ?? null])
  }
}

function part (extension: Extension, url: string): Extension | undefined { return extension.extension?.find(inner => inner.url === url) }

function readKind (code: string | undefined): CalibrationKind {
  if (code === 'offset' || code === 'gain' || code === 'polynomial' || code === 'stern-volmer') return code
  throw ruleBroken(`${AT}.model`, 'must be offset, gain, polynomial or stern-volmer')
}

function readCoefficients (extension: Extension): Map<string, Coefficient> {
  const found = new Map<string, Coefficient>()
  for (const inner of extension.extension ?? []) {
    if (inner.url !== 'coefficient') continue
    const name = part(inner, 'name')?.valueString
    if (name === undefined) throw ruleBroken(`${AT}.coefficient.name`, 'a coefficient needs a name')
    if (found.has(name)) throw ruleBroken(`${AT}.coefficient.name`, 'stands twice')
    found.set(name, readQuantity(part(inner, 'value')?.valueQuantity))
  }
  return found
}

function readQuantity (quantity: Quantity | undefined): Coefficient {
  const at = `${AT}.coefficient.value`
  if (quantity?.value === undefined || !Number.isFinite(quantity.value)) throw ruleBroken(at, 'must be a Quantity with a finite value')
  if (quantity.comparator !== undefined) throw ruleBroken(at, 'a coefficient has no comparator')
  if (quantity.system !== UCUM || quantity.code === undefined) throw ruleBroken(at, 'must name its unit by a UCUM code (1 when it has none)')
  return { value: quantity.value, unit: quantity.code }
}

/** Names each model has, and the units that would make its result another quantity. */
function assertModel (kind: CalibrationKind, coefficients: ReadonlyMap<string, Coefficient>, unit: string | undefined): void {
  const at = `${AT}.coefficient`
  const need = (name: string) => {
    const found = coefficients.get(name)
    if (found === undefined) throw ruleBroken(at, `the model ${kind} needs ${name}`)
    return found
  }
  const allow = (names: ReadonlySet<string>) => {
    for (const name of coefficients.keys()) if (!names.has(name)) throw ruleBroken(at, `the model ${kind} has no other coefficients than ${[...names].join(', ')}`)
  }
  const inUnit = (coefficient: Coefficient | undefined, expected: string | undefined) => {
    if (coefficient !== undefined && expected !== undefined && coefficient.unit !== expected) throw ruleBroken(at, `the unit must be ${expected}`)
  }
  switch (kind) {
    case 'offset':
      allow(new Set(['offset']))
      inUnit(need('offset'), unit)
      return
    case 'gain':
      allow(new Set(['gain', 'offset']))
      if (need('gain').value === 0) throw ruleBroken(at, 'a gain of 0 measures nothing')
      inUnit(coefficients.get('offset'), unit)
      return
    case 'polynomial':
      allow(POLYNOMIAL_NAMES)
      if (coefficients.size === 0) throw ruleBroken(at, 'the model polynomial needs at least one of c0 … c9')
      inUnit(coefficients.get('c0'), unit)
      return
    case 'stern-volmer': {
      allow(new Set(['tau0', 'Ksv']))
      const tau0 = need('tau0')
      const quenching = need('Ksv')
      if (tau0.value <= 0 || quenching.value <= 0) throw ruleBroken(at, 'tau0 and Ksv must be above 0')
      if (!TIME_UNITS.has(tau0.unit)) throw ruleBroken(at, 'tau0 is a time: s, ms, us or ns')
      inUnit(quenching, unit === undefined ? undefined : `/${unit}`)
    }
  }
}
