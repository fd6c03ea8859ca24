/** Folder of device model files (JSON) -> the registry of fhir-modelling.md §7, or every problem at once by file and field. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv, type ErrorObject } from 'ajv'
import { type Channel, type DeviceModel, type DeviceModels, modelKey, type QuantityKind } from '../model/device-model.ts'
import { ServiceError } from '../model/errors.ts'
import { CHANNELS_MAX } from '../model/reading.ts'
import type { DeficitThreshold } from './schema.ts'

/** UCUM units in which a kind of quantity may come; nothing is ever converted between them. */
export const UNITS_OF_KIND: Readonly<Record<QuantityKind, readonly string[]>> = {
  'tissue-po2': ['mm[Hg]'],
  'tissue-o2-concentration': ['umol/L'],
  'tissue-o2-relative-index': ['1'],
  'tissue-sto2': ['%'],
  'total-haemoglobin': ['g/dL'],
  'o2hb-relative': ['1', 'umol/L'],
  'hhb-relative': ['1', 'umol/L'],
  spo2: ['%']
}

/** Ledger rows that are no channel, and endings of the names of derived values. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['panel', 'battery-voltage', 'signal-quality-index', 'tissue-oxygen-deficit', 'tissue-oxygen-panel'])
const RESERVED_ENDING = /-(mean|rate|samples)$/

const text = { type: 'string', minLength: 1, maxLength: 200 }
const name = { type: 'string', pattern: '^[a-z][a-z0-9-]{0,62}$' }
const range = { type: 'object', required: ['low', 'high'], additionalProperties: false, properties: { low: { type: 'number' }, high: { type: 'number' } } }

const CHANNEL_SCHEMA = {
  type: 'object',
  required: ['metric', 'kind', 'unit', 'periodMs', 'technicalRange', 'resolution', 'zeroMeans', 'calibration'],
  additionalProperties: false,
  properties: {
    metric: name,
    kind: { enum: Object.keys(UNITS_OF_KIND) },
    unit: text,
    periodMs: { type: 'number', minimum: 1, maximum: 3_600_000 },
    technicalRange: range,
    resolution: { type: 'number', minimum: 1e-6, maximum: 1e6 },
    minimumQuality: { type: 'number', minimum: 0, maximum: 100 },
    maxSlewPerSecond: { type: 'number', exclusiveMinimum: 0 },
    zeroMeans: { enum: ['zero', 'no-reading'] },
    calibration: { enum: ['none', 'optional', 'required'] },
    flatLineCount: { type: 'integer', minimum: 2, maximum: 10_000 }
  }
}

const MODEL_SCHEMA = {
  type: 'object',
  required: ['manufacturer', 'modelNumber', 'display', 'channels', 'batteryRange'],
  additionalProperties: false,
  properties: {
    manufacturer: { ...text, pattern: '^[^/]+$' },
    modelNumber: text,
    display: text,
    channels: { type: 'array', minItems: 1, maxItems: CHANNELS_MAX, items: CHANNEL_SCHEMA },
    v1: { type: 'object', additionalProperties: false, properties: { spo2: name, local_tissue_o2: name } },
    batteryRange: range,
    firmware: { type: 'array', items: text },
    madeSince: { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' }
  }
}

export interface ModelFile { name: string, text: string }

/** Every `*.json` of the folder. @throws ServiceError MODEL_INVALID naming every problem by file and field */
export async function loadDeviceModels (folder: string): Promise<DeviceModels> {
  let names: string[]
  try {
    names = (await readdir(folder)).filter((file) => file.endsWith('.json')).sort()
  } catch (cause) {
    throw new ServiceError('incorrect', 'MODEL_INVALID', 'the folder of device models cannot be read', { cause })
  }
  return parseDeviceModels(await Promise.all(names.map(async (file) => ({ name: file, text: await readFile(join(folder, file), 'utf8') }))))
}

/** The registry, in order of the files. @throws ServiceError MODEL_INVALID */
export function parseDeviceModels (files: readonly ModelFile[]): DeviceModels {
  const problems: string[] = []
  const models = new Map<string, DeviceModel>()
  const validate = new Ajv({ allErrors: true }).compile<DeviceModel>(MODEL_SCHEMA)
  for (const file of files) {
    const report = (problem: string) => { problems.push(`${file.name}: ${problem}`) }
    const model = parseJson(file.text)
    if (model === undefined) { report('is not JSON'); continue }
    if (!validate(model)) { for (const error of validate.errors ?? []) report(schemaProblem(error)); continue }
    for (const problem of meaningProblems(model)) report(problem)
    if (models.has(modelKey(model))) report('manufacturer and modelNumber stand in another file as well')
    models.set(modelKey(model), model)
  }
  if (files.length === 0) problems.push('there is no device model')
  if (problems.length > 0) {
    throw new ServiceError('incorrect', 'MODEL_INVALID', `the device models have ${problems.length} problem(s):\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  }
  return models
}

/** Metrics with a window size of their own that no device model has; [] is right. */
export function windowSizeProblems (models: DeviceModels, sizes: Readonly<Record<string, number>>): string[] {
  const metrics = new Set([...models.values()].flatMap(model => model.channels.map(channel => channel.metric)))
  return Object.keys(sizes).filter(metric => !metrics.has(metric)).map(metric => `${metric}: no device model has this metric`)
}

/** What is wrong with thresholds of the tissue oxygen deficit against the registry (fhir-modelling.md §5.1); [] is right. */
export function deficitProblems (models: DeviceModels, deficits: readonly DeficitThreshold[]): string[] {
  const problems: string[] = []
  const seen = new Set<string>()
  for (const { metric, unit } of deficits) {
    const channels = [...models.values()].flatMap((model) => model.channels).filter((channel) => channel.metric === metric)
    if (channels.length === 0) problems.push(`${metric}: no device model has this metric`)
    if (channels.some((channel) => channel.kind === 'tissue-o2-relative-index')) problems.push(`${metric}: a relative index has no absolute threshold`)
    else if (channels.some((channel) => channel.unit !== unit)) problems.push(`${metric}: the unit of the threshold is not the metric's unit`)
    if (seen.has(metric)) problems.push(`${metric}: stands twice`)
    seen.add(metric)
  }
  return problems
}

function parseJson (source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    return undefined
  }
}

function schemaProblem ({ instancePath, message, params }: ErrorObject): string {
  const field = instancePath === '' ? 'the file' : instancePath.slice(1).replaceAll('/', '.')
  const named = params['additionalProperty'] ?? params['allowedValues']?.join(', ')
  return `${field}: ${message ?? 'is wrong'}${named === undefined ? '' : ` (${named})`}`
}

/** Rules that the schema cannot say. */
function meaningProblems (model: DeviceModel): string[] {
  const problems: string[] = []
  const metrics = new Set<string>()
  for (const [position, channel] of model.channels.entries()) {
    problems.push(...channelProblems(channel).map((problem) => `channels.${position}.${problem}`))
    if (metrics.has(channel.metric)) problems.push(`channels.${position}.metric: stands twice`)
    metrics.add(channel.metric)
  }
  for (const [field, metric] of Object.entries(model.v1 ?? {})) {
    if (!metrics.has(metric)) problems.push(`v1.${field}: no channel has this metric`)
  }
  if (!isRange(model.batteryRange)) problems.push('batteryRange: low must be below high')
  if (model.madeSince !== undefined && Number.isNaN(Date.parse(model.madeSince))) problems.push('madeSince: is no date')
  return problems
}

function channelProblems (channel: Channel): string[] {
  const problems: string[] = []
  const allowed = UNITS_OF_KIND[channel.kind]
  if (!allowed.includes(channel.unit)) problems.push(`unit: must be one of ${allowed.join(', ')} for ${channel.kind}`)
  if (RESERVED_NAMES.has(channel.metric) || RESERVED_ENDING.test(channel.metric)) problems.push('metric: this name is taken by rows that are made from channels')
  if ((channel.kind === 'spo2') !== (channel.metric === 'spo2')) problems.push('metric: the name spo2 belongs to the one channel of kind spo2')
  if (!isRange(channel.technicalRange)) problems.push('technicalRange: low must be below high')
  return problems
}

function isRange ({ low, high }: { low: number, high: number }): boolean { return low < high }
