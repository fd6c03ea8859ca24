import { expect, test } from 'vitest'
import { deficitProblems, parseDeviceModels, windowSizeProblems } from '../../../src/config/device-models.ts'
import { ServiceError } from '../../../src/model/errors.ts'

const CHANNEL = {
  metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', periodMs: 1000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional'
}
const MODEL = {
  manufacturer: 'Example Sensors Inc.', modelNumber: 'TO2-READER-2', display: 'Reader', channels: [CHANNEL], v1: { local_tissue_o2: 'tissue-po2' }, batteryRange: { low: 0, high: 6000 }
}

const file = (model: object, name = 'a.json') => ({ name, text: JSON.stringify(model) })

function problemsOf (...files: { name: string, text: string }[]): string {
  try {
    parseDeviceModels(files)
  } catch (error) {
    expect(error).toBeInstanceOf(ServiceError)
    expect(error).toMatchObject({ category: 'incorrect', code: 'MODEL_INVALID' })
    return (error as Error).message
  }
  return ''
}

test('a model is found by manufacturer and model number', () => {
  expect(parseDeviceModels([file(MODEL)]).get('Example Sensors Inc./TO2-READER-2')).toEqual(MODEL)
})

test('all problems of all files are reported at once, by file and field', () => {
  const message = problemsOf(
    file({ ...MODEL, channels: [{ ...CHANNEL, unit: 'mmHg', technicalRange: { low: 160, high: 0 } }] }),
    file({ ...MODEL, modelNumber: 'OTHER', extra: 1, channels: [{ ...CHANNEL, periodMs: 0 }] }, 'b.json'),
    { name: 'c.json', text: '{' }
  )
  expect(message).toContain('5 problem(s)')
  expect(message).toContain('a.json: channels.0.unit: must be one of mm[Hg] for tissue-po2')
  expect(message).toContain('a.json: channels.0.technicalRange: low must be below high')
  expect(message).toContain('b.json: the file: must NOT have additional properties (extra)')
  expect(message).toContain('b.json: channels.0.periodMs: must be >= 1')
  expect(message).toContain('c.json: is not JSON')
})

test.each([
  ['two channels of one name', { channels: [CHANNEL, CHANNEL] }, 'channels.1.metric: stands twice'],
  ['no channel', { channels: [] }, 'channels: must NOT have fewer than 1 items'],
  ['nine channels', { channels: Array.from({ length: 9 }, (_, index) => ({ ...CHANNEL, metric: `m${index}` })) }, 'channels: must NOT have more than 8 items'],
  ['a name that a ledger row has', { channels: [{ ...CHANNEL, metric: 'panel' }] }, 'channels.0.metric'],
  ['a name that a derived value has', { channels: [{ ...CHANNEL, metric: 'tissue-po2-mean' }] }, 'channels.0.metric'],
  ['spo2 that is no SpO2', { channels: [{ ...CHANNEL, metric: 'spo2' }] }, 'channels.0.metric: the name spo2'],
  ['a v1 field without its channel', { v1: { spo2: 'spo2' } }, 'v1.spo2: no channel has this metric'],
  ['an impossible date', { madeSince: '2026-13-40' }, 'madeSince: is no date'],
  ['a kind that does not exist', { channels: [{ ...CHANNEL, kind: 'blood-po2' }] }, 'channels.0.kind']
])('%s is refused', (_, change, problem) => {
  expect(problemsOf(file({ ...MODEL, ...change }))).toContain(`a.json: ${problem}`)
})

test('one model in two files is refused, and so is an empty registry', () => {
  expect(problemsOf(file(MODEL), file(MODEL, 'b.json'))).toContain('b.json: manufacturer and modelNumber stand in another file as well')
  expect(problemsOf()).toContain('there is no device model')
})

test('a window size needs a known metric', () => {
  const models = parseDeviceModels([file({ ...MODEL, channels: [CHANNEL] })])
  expect(windowSizeProblems(models, { 'tissue-po2': 30_000 })).toEqual([])
  expect(windowSizeProblems(models, { tissue: 30_000 })).toEqual(['tissue: no device model has this metric'])
})

test('a deficit threshold needs a known metric, its unit and no relative index', () => {
  const index = { ...CHANNEL, metric: 'tissue-o2-relative-index', kind: 'tissue-o2-relative-index', unit: '1' }
  const models = parseDeviceModels([file({ ...MODEL, channels: [CHANNEL, index] })])
  const signed = { threshold: 25, author: 'A', rationale: 'R' }
  expect(deficitProblems(models, [{ metric: 'tissue-po2', unit: 'mm[Hg]', ...signed }])).toEqual([])
  expect(deficitProblems(models, [
    { metric: 'tissue-po2', unit: 'kPa', ...signed },
    { metric: 'tissue-o2-relative-index', unit: '1', ...signed },
    { metric: 'unknown', unit: '1', ...signed },
    { metric: 'unknown', unit: '1', ...signed }
  ])).toEqual([
    'tissue-po2: the unit of the threshold is not the metric\'s unit',
    'tissue-o2-relative-index: a relative index has no absolute threshold',
    'unknown: no device model has this metric', 'unknown: no device model has this metric', 'unknown: stands twice'
  ])
})
