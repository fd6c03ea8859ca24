/** Mapping files -> what each ledger row is called in FHIR, by row and by pinned version. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import type { Channel, DeviceModel } from '../../model/device-model.ts'
import { ServiceError } from '../../model/errors.ts'
import { isAllowedCode, isAllowedUnit, SPO2_CODES } from '../words/code-allow-list.ts'
import type { ViewKind } from '../../model/window.ts'
import { type Coding, MAPPING_SCHEMA, type MappingFile } from './mapping-schema.ts'

export const SIGNAL_QUALITY = 'signal-quality-index'
const SAMPLES = '-samples'

export interface Mapping {
  /** `<name>@<version>`, as pinned in `PointProvenance.mappingVersion`. */
  version: string
  file: MappingFile
  has (view: ViewKind): boolean
  /** Text shown for a UCUM code. */
  unitText (code: string): string
}

export interface Mappings {
  /** The version in use for new rows. @param row as in `MappingFile.row` @throws ServiceError MAPPING_INVALID when no file covers it. */
  current (row: string): Mapping
  /** Any version ever recorded. @throws ServiceError fault when it was never recorded. */
  pinned (version: string): Mapping
  all (): readonly Mapping[]
  /** Old versions, as recorded; the versions in use stay. */
  add (files: readonly MappingFile[]): void
}

/** Reads every `*.json` of the folder but the golden examples. @throws ServiceError MAPPING_INVALID with all problems at once, each with file and field. */
export function loadMappings (folder: string): Mappings {
  const problems: string[] = []
  const files: MappingFile[] = []
  for (const name of readdirSync(folder).filter(isMappingName).sort()) {
    let body: unknown
    try {
      body = JSON.parse(readFileSync(join(folder, name), 'utf8'))
    } catch {
      problems.push(`${name}: is no JSON`)
      continue
    }
    const found = mappingProblems(body)
    if (found.length === 0) files.push(body as MappingFile)
    problems.push(...found.map(problem => `${name}: ${problem}`))
  }
  if (files.length === 0 && problems.length === 0) problems.push('the folder holds no mapping')
  if (problems.length > 0) throw new ServiceError('fault', 'MAPPING_INVALID', `mappings cannot be used: ${problems.join('; ')}`)
  return createMappings(files)
}

/** @throws ServiceError MAPPING_INVALID when two files have one name, or cover one row. */
export function createMappings (files: readonly MappingFile[]): Mappings {
  const byRow = new Map<string, Mapping>()
  const byVersion = new Map<string, Mapping>()
  for (const file of files) {
    const mapping = compileMapping(file)
    if (byRow.has(file.row)) throw new ServiceError('fault', 'MAPPING_INVALID', `two mappings cover row ${file.row}: ${byRow.get(file.row)!.file.name}, ${file.name}`)
    if (byVersion.has(mapping.version)) throw new ServiceError('fault', 'MAPPING_INVALID', `two mappings are named ${mapping.version}`)
    byRow.set(file.row, mapping)
    byVersion.set(mapping.version, mapping)
  }
  return {
    current (row) {
      const mapping = byRow.get(row)
      if (mapping === undefined) throw new ServiceError('fault', 'MAPPING_INVALID', `no mapping covers row ${row}: add one to mappings/`)
      return mapping
    },
    pinned (version) {
      const mapping = byVersion.get(version)
      if (mapping === undefined) throw new ServiceError('fault', 'MAPPING_INVALID', `mapping ${version} was never recorded`)
      return mapping
    },
    all: () => [...byVersion.values()],
    add (old) {
      for (const file of old) if (!byVersion.has(versionOf(file))) byVersion.set(versionOf(file), compileMapping(file))
    }
  }
}

/** The channel behind a ledger row, and the row as mappings call it. @param channelOf channel of the device model by metric */
export function mappedRow (metric: string, channelOf: (metric: string) => Channel | undefined): { row: string, channel: Channel | undefined } {
  const own = channelOf(metric)
  if (own !== undefined) return { row: own.kind, channel: own }
  const sampled = metric.endsWith(SAMPLES) ? channelOf(metric.slice(0, -SAMPLES.length)) : undefined
  return sampled?.kind === 'spo2' ? { row: 'spo2-samples', channel: sampled } : { row: metric, channel: undefined }
}

/** `<mapping>@<version>` that new ledger rows of this metric pin. */
export function mappingVersionOf (mappings: Mappings, metric: string, model: DeviceModel): string {
  return mappings.current(mappedRow(metric, name => model.channels.find(channel => channel.metric === name)).row).version
}

export function versionOf (file: Pick<MappingFile, 'name' | 'version'>): string { return `${file.name}@${file.version}` }

/** Empty when the body is a mapping the product may use; else each problem with its field. */
export function mappingProblems (body: unknown): string[] {
  if (!validate(body)) return (validate.errors ?? []).map(error => `${error.instancePath || '/'} ${error.message}`)
  const file = body as unknown as MappingFile
  return [...codeProblems(file), ...unitProblems(file)]
}

const validate = new Ajv({ allErrors: true, strict: true, strictRequired: false }).compile(MAPPING_SCHEMA)

function isMappingName (name: string): boolean { return name.endsWith('.json') && !name.endsWith('.example.json') }

function compileMapping (file: MappingFile): Mapping {
  return {
    version: versionOf(file),
    file,
    has: view => file.views[view] !== undefined,
    unitText: code => file.unitText?.[code] ?? code
  }
}

function codeProblems (file: MappingFile): string[] {
  const problems: string[] = []
  const isSaturation = file.row === 'spo2'
  const check = (path: string, coding: Coding): void => {
    if (!isAllowedCode(coding.system, coding.code)) problems.push(`${path} ${coding.system}|${coding.code} is not on the list of codes that may be emitted`)
    if (!isSaturation && SPO2_CODES.has(`${coding.system}|${coding.code}`)) problems.push(`${path} ${coding.code} means arterial saturation and belongs to row spo2 alone`)
    if (!isSaturation && coding.code === 'vital-signs') problems.push(`${path} only row spo2 is a vital sign`)
  }
  for (const [kind, view] of Object.entries(file.views)) {
    check(`/views/${kind}/category`, view.category)
    view.code.coding.forEach((coding, index) => { check(`/views/${kind}/code/coding/${index}`, coding) })
  }
  file.components?.forEach((component, place) => {
    component.code.coding.forEach((coding, index) => { check(`/components/${place}/code/coding/${index}`, coding) })
  })
  return problems
}

function unitProblems (file: MappingFile): string[] {
  const problems: string[] = []
  if (file.unit !== undefined && !isAllowedUnit(file.unit)) problems.push(`/unit ${file.unit} is no UCUM code that may be emitted`)
  for (const code of Object.keys(file.unitText ?? {})) {
    if (!isAllowedUnit(code)) problems.push(`/unitText/${code} is no UCUM code that may be emitted`)
  }
  if (file.views.panel !== undefined && file.components === undefined) problems.push('/components is missing: a panel shows its values as components')
  return problems
}
