import type { DeviceMetric, Extension } from '@medplum/fhirtypes'
import { expect, test } from 'vitest'
import { newCalibrations } from '../../../../src/fhir/resources/apply-rules.ts'
import { CALIBRATION_RECORD, calibrationState, readCalibrations } from '../../../../src/fhir/resources/calibration-record.ts'

const UCUM = 'http://unitsofmeasure.org'
type Wish = { version?: string, model?: string, coefficients?: [name: string, value: number, unit?: string][], effective?: object, digest?: string }

function metric (...wishes: Wish[]): DeviceMetric {
  return { resourceType: 'DeviceMetric', type: {}, category: 'measurement', extension: wishes.map(record) }
}

function record ({ version = 'c1', model = 'offset', coefficients = [['offset', 1, 'mm[Hg]']], effective = { start: '2026-02-10T17:00:00Z' }, digest }: Wish): Extension {
  return {
    url: CALIBRATION_RECORD,
    extension: [
      { url: 'version', valueString: version },
      { url: 'model', valueCode: model },
      ...coefficients.map(([name, value, unit]) => ({
        url: 'coefficient',
        extension: [{ url: 'name', valueString: name }, { url: 'value', valueQuantity: { value, ...(unit === undefined ? {} : { system: UCUM, code: unit }) } }]
      })),
      { url: 'effective', valuePeriod: effective },
      ...(digest === undefined ? [] : [{ url: 'digest', valueString: digest }])
    ]
  }
}

const read = (wish: Wish, unit: string | undefined = 'mm[Hg]') => readCalibrations(metric(wish), unit)

test('a record is read with its coefficients and its half-open period', () => {
  expect(read({ model: 'stern-volmer', coefficients: [['tau0', 58.1, 'us'], ['Ksv', 0.0213, '/mm[Hg]']], digest: `sha256:${'a'.repeat(64)}` })).toMatchObject([
    { version: 'c1', kind: 'stern-volmer', coefficients: { tau0: 58.1, Ksv: 0.0213 }, effective: { from: Date.parse('2026-02-10T17:00:00Z') } }
  ])
  expect(read({ model: 'gain', coefficients: [['gain', 1.1, '1'], ['offset', -2, 'mm[Hg]']] })[0]?.coefficients).toEqual({ gain: 1.1, offset: -2 })
  expect(read({ model: 'polynomial', coefficients: [['c2', 3, '1'], ['c0', 1, 'mm[Hg]']] })[0]?.coefficients).toEqual({ c0: 1, c2: 3 })
})

test.each<[string, Wish]>([
  ['no version', { version: ' ' }],
  ['an unknown model', { model: 'spline' }],
  ['a missing coefficient', { model: 'stern-volmer', coefficients: [['tau0', 58, 'us']] }],
  ['a coefficient of another model', { coefficients: [['offset', 1, 'mm[Hg]'], ['gain', 1, '1']] }],
  ['a coefficient twice', { coefficients: [['offset', 1, 'mm[Hg]'], ['offset', 2, 'mm[Hg]']] }],
  ['a coefficient without unit', { coefficients: [['offset', 1]] }],
  ['an offset in another unit', { coefficients: [['offset', 1, 'kPa']] }],
  ['a Ksv in another unit', { model: 'stern-volmer', coefficients: [['tau0', 58, 'us'], ['Ksv', 0.02, '/kPa']] }],
  ['a tau0 that is no time', { model: 'stern-volmer', coefficients: [['tau0', 58, '1'], ['Ksv', 0.02, '/mm[Hg]']] }],
  ['a gain of 0', { model: 'gain', coefficients: [['gain', 0, '1']] }],
  ['a Ksv of 0', { model: 'stern-volmer', coefficients: [['tau0', 58, 'us'], ['Ksv', 0, '/mm[Hg]']] }],
  ['a polynomial of nothing', { model: 'polynomial', coefficients: [] }],
  ['a polynomial of degree 10', { model: 'polynomial', coefficients: [['c10', 1, '1']] }],
  ['a value that is not finite', { coefficients: [['offset', Number.POSITIVE_INFINITY, 'mm[Hg]']] }],
  ['no period', { effective: {} }],
  ['a day as start', { effective: { start: '2026-02-10' } }],
  ['an end before the start', { effective: { start: '2026-02-10T17:00:00Z', end: '2026-02-10T16:00:00Z' } }],
  ['a digest of another kind', { digest: 'md5:00' }]
])('a record with %s is refused', (_, wish) => {
  expect(() => read(wish)).toThrow(expect.objectContaining({ code: 'FHIR_BUSINESS_RULE' }))
})

test('a version stands once in a resource', () => {
  expect(() => readCalibrations(metric({}, {}), 'mm[Hg]')).toThrow('stands twice')
})

test('the same meaning in another spelling is the same record', () => {
  const one = read({ model: 'gain', coefficients: [['gain', 2, '1'], ['offset', 1, 'mm[Hg]']] })
  const other = read({ model: 'gain', coefficients: [['offset', 1, 'mm[Hg]'], ['gain', 2.0, '1']], effective: { start: '2026-02-10T18:00:00.000+01:00' } })
  expect(other[0]?.normalText).toBe(one[0]?.normalText)
})

test('a record that is not there yet is new, and takes the place of those before it', () => {
  const recorded = new Map(read({}).map(({ version, normalText }) => [version, normalText]))
  const next = readCalibrations(metric({ version: 'c2' }), 'mm[Hg]')
  const unit = { coding: [{ system: UCUM, code: 'mm[Hg]' }] }
  expect(newCalibrations(next, recorded, { ...metric({}), unit }).map(({ version }) => version)).toEqual(['c2'])
  expect(newCalibrations(read({}), recorded, { ...metric({}), unit })).toEqual([])
  expect(() => newCalibrations([], recorded, { ...metric({}), unit })).toThrow('never removed')
  expect(() => newCalibrations(read({ coefficients: [['offset', 2, 'mm[Hg]']] }), recorded, { ...metric({}), unit })).toThrow('never changes')
})

test('a metric without calibration state is unspecified', () => {
  expect(calibrationState(metric())).toBe('unspecified')
  expect(calibrationState({ ...metric(), calibration: [{ state: 'calibrated' }, { state: 'calibration-required' }] })).toBe('calibration-required')
})
