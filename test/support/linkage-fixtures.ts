/** A repository on a test database, and the resources most tests of it begin with. */

import { hash } from 'node:crypto'
import type { Device, DeviceMetric, DeviceUseStatement, Patient } from '@medplum/fhirtypes'
import { createRepository, type RepositoryOptions } from '../../src/fhir/resources/repository.ts'
import type { LinkageCommit } from '../../src/fhir/resources/linkage-commit.ts'
import type { ResourceStore, StoredResource, StoredVersion } from '../../src/fhir/resources/resource-store.ts'
import { type DeviceModel, type DeviceModels, modelKey } from '../../src/model/device-model.ts'
import { identifierSystem } from '../../src/model/identifier.ts'
import { type EpochMs, epochMs } from '../../src/model/units.ts'
import { createWriteClock, type WriteClock } from '../../src/platform/write-clock.ts'
import { drawSid, drawSubj } from '../../src/security/sid.ts'
import type { Pool } from 'pg'

export const READER: DeviceModel = {
  manufacturer: 'Example Sensors Inc.',
  modelNumber: 'TO2-READER-2',
  display: 'Tissue oxygen reader',
  channels: [
    { metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', periodMs: 1000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional' },
    { metric: 'spo2', kind: 'spo2', unit: '%', periodMs: 1000, technicalRange: { low: 0, high: 100 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'none' }
  ],
  v1: { spo2: 'spo2', local_tissue_o2: 'tissue-po2' },
  batteryRange: { low: 0, high: 6000 }
}

export const MODELS: DeviceModels = new Map([[modelKey(READER), READER]])
export const BASE_URL = 'http://localhost/fhir'
export const NOW = epochMs(Date.parse('2026-02-10T16:41:12.000Z'))

/** Stands in for the keyed index: the same normal form, without a key. */
export function plainIndex (system: string, value: string): { ver: number, bi: Uint8Array }[] {
  const normal = value.normalize('NFKC').trim().replace(/[a-z]/g, letter => letter.toUpperCase())
  return [{ ver: 1, bi: hash('sha256', JSON.stringify(['device', 'default', system, normal]), 'buffer') }]
}

/** The clocks of the repositories made here. */
const times = new WeakMap<ResourceStore, { now: EpochMs }>()

/** It writes at NOW, until told otherwise. */
export function testRepository (pool: Pool, options: Partial<RepositoryOptions> = {}): { repository: ResourceStore, commits: LinkageCommit[], writes: WriteClock } {
  const time = { now: NOW }
  const writes = createWriteClock(() => time.now)
  const commits: LinkageCommit[] = []
  const repository = createRepository({
    pool, models: MODELS, blindIndexes: plainIndex, pseudonyms: { drawSid, drawSubject: drawSubj }, baseUrl: () => BASE_URL, isDemo: false,
    writes, onCommitted: commit => { commits.push(commit) }, ...options
  })
  times.set(repository, time)
  return { repository, commits, writes }
}

export function patient (id: string, identifiers: Patient['identifier'] = []): Patient {
  return { resourceType: 'Patient', id, ...(identifiers.length === 0 ? {} : { identifier: identifiers }) }
}

export function reader (id: string, telemetry: string): Device {
  return {
    resourceType: 'Device',
    id,
    identifier: [{ system: identifierSystem('telemetry-device'), value: telemetry }],
    status: 'active',
    manufacturer: READER.manufacturer,
    modelNumber: READER.modelNumber,
    version: [{ type: { coding: [{ system: 'urn:iso:std:iso:11073:10101', code: '531976' }] }, value: '1.2.3' }]
  }
}

export function association (id: string, deviceId: string, patientId: string, start: string, end?: string): DeviceUseStatement {
  return {
    resourceType: 'DeviceUseStatement',
    id,
    status: 'active',
    subject: { reference: `Patient/${patientId}` },
    device: { reference: `Device/${deviceId}` },
    timingPeriod: { start, ...(end === undefined ? {} : { end }) }
  }
}

export interface CalibrationWish { version: string, offset: number, start: string, end?: string }

export function withCalibrations (metric: DeviceMetric, wishes: readonly CalibrationWish[]): DeviceMetric {
  const unit = metric.unit?.coding?.find(coding => coding.system === 'http://unitsofmeasure.org')?.code
  const records = wishes.map(({ version, offset, start, end }) => ({
    url: 'https://oxbow-fhir.github.io/ig/StructureDefinition/calibration-record',
    extension: [
      { url: 'version', valueString: version },
      { url: 'model', valueCode: 'offset' },
      {
        url: 'coefficient',
        extension: [
          { url: 'name', valueString: 'offset' },
          { url: 'value', valueQuantity: { value: offset, system: 'http://unitsofmeasure.org', code: unit! } }
        ]
      },
      { url: 'effective', valuePeriod: { start, ...(end === undefined ? {} : { end }) } }
    ]
  }))
  const others = (metric.extension ?? []).filter(({ url }) => !url!.endsWith('/calibration-record'))
  return { ...metric, extension: [...records, ...others], calibration: [{ type: 'offset', state: 'calibrated' }] }
}

export async function create (repository: ResourceStore, resource: StoredResource, now: EpochMs = NOW): Promise<StoredVersion> {
  times.get(repository)!.now = now
  return repository.transaction(transaction => transaction.create(resource))
}

export async function update (repository: ResourceStore, resource: StoredResource, now: EpochMs = NOW, ifMatch?: string): Promise<StoredVersion> {
  times.get(repository)!.now = now
  return repository.transaction(transaction => transaction.update(resource, ifMatch))
}
