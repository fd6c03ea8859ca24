/** Everything a transaction wrote → rules over several resources, and the tables beside them: names, associations, sids, calibrations,
 *  jobs. Runs once, before the commit, so that the order of the writes inside a Bundle does not matter. */

import type { Device, DeviceMetric, DeviceUseStatement } from '@medplum/fhirtypes'
import type { PoolClient } from 'pg'
import type { DeviceModels } from '../../model/device-model.ts'
import { identifierSystem } from '../../model/identifier.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import {
  type AssociationChange, assertNoOverlap, devicesOfPatient, hasAssociation, lockDevices, type Pseudonyms, putAssociation, recordRelabelling, sidsOfDevice
} from '../../stores/linkage/association.ts'
import { type NewCalibration, recordCalibration, recordedTexts, recordRecalibration } from '../../stores/linkage/calibration.ts'
import { type BlindIndexEntry, putDeviceName } from '../../stores/linkage/device-name.ts'
import { readCurrent, readReferring } from '../../stores/linkage/resource.ts'
import { assertAssociationIdentifier, assertSameAssociation, readAssociation } from './association-rules.ts'
import { readReference, readTarget, ruleBroken } from './business-rule.ts'
import { type CalibrationRecord, calibrationState, readCalibrations } from './calibration-record.ts'
import { assertChannelUnit, assertSameDevice, channelMetric, metricOf, registeredModel, telemetryName, ucumUnit } from './device-rules.ts'
import type { LinkageCommit } from './linkage-commit.ts'
import type { StoredResource, StoredType } from './resource-store.ts'

/** A resource as the transaction leaves it. `before`: as the transaction found it; absent, nothing of the store refers to it yet. */
export interface Written<R extends StoredResource = StoredResource> { before?: R, after: R, version: number }

export interface RuleDeps {
  models: DeviceModels
  /** Indexes of a Device's name in telemetry, one for each key version in use. */
  blindIndexes: (system: string, value: string) => readonly BlindIndexEntry[] | Promise<readonly BlindIndexEntry[]>
  pseudonyms: Pseudonyms
  baseUrl: () => string
  /** Writes a further resource in the same transaction. */
  create: (resource: StoredResource) => Promise<void>
}

interface Run { client: PoolClient, written: ReadonlyMap<string, Written>, broughtMetrics: ReadonlyMap<string, readonly DeviceMetric[]>, deps: RuleDeps, now: EpochMs }

/** @param written by `Type/id`; grows while DeviceMetrics are made @throws ServiceError FHIR_BUSINESS_RULE; the database's 23505, 23P01 */
export async function applyRules (client: PoolClient, written: ReadonlyMap<string, Written>, deps: RuleDeps, now: EpochMs): Promise<LinkageCommit> {
  const run: Run = { client, written, broughtMetrics: metricsByDevice(written, deps.baseUrl()), deps, now }
  await lockDevices(client, touchedDevices(run))
  const devices = new Set<string>()
  for (const { before, after } of of(written, 'Patient')) {
    if (before !== undefined) for (const device of await devicesOfPatient(client, after.id!)) devices.add(device)
  }
  const gained: LinkageCommit['gained'][number][] = []
  for (const write of of(written, 'Device')) {
    devices.add(write.after.id!)
    gained.push(...await applyDevice(run, write as Written<Device>))
  }
  const associations = await applyAssociations(run)
  for (const { change, telemetry } of associations) {
    devices.add(change.device)
    if (telemetry !== undefined) gained.push(...change.gained.map(span => ({ device: change.device, telemetry, span })))
  }
  const relabelJobs: number[] = []
  for (const { change } of associations) relabelJobs.push(...await recordRelabelling(client, change, now))
  const sids = new Set<Sid>(associations.map(({ change }) => change.sid))
  const recalibrationJobs: number[] = []
  for (const write of of(written, 'DeviceMetric')) {
    const device = readTarget('DeviceMetric.source', (write.after as DeviceMetric).source?.reference, 'Device', deps.baseUrl())
    devices.add(device)
    const recorded = await applyMetric(run, write as Written<DeviceMetric>, device)
    recalibrationJobs.push(...recorded.jobs)
    if (recorded.count > 0) for (const { sid } of await sidsOfDevice(client, device)) sids.add(sid)
  }
  const changes = [...written.values()].map(({ after, version }) => ({ type: after.resourceType, id: after.id!, version }))
  return { changes, devices: [...devices], sids: [...sids], gained, relabelJobs, recalibrationJobs }
}

/** Those that the rules read: nobody else gives one of them another name, a metric or an association meanwhile. */
function touchedDevices ({ written, deps }: Run): string[] {
  const referred = [...written.values()].flatMap(({ after }) => {
    if (after.resourceType === 'DeviceUseStatement') return readReference(after.device?.reference, deps.baseUrl())?.id ?? []
    return after.resourceType === 'DeviceMetric' ? readReference(after.source?.reference, deps.baseUrl())?.id ?? [] : []
  })
  return [...new Set(referred)]
}

async function applyDevice (run: Run, { before, after }: Written<Device>): Promise<LinkageCommit['gained'][number][]> {
  const { client, deps } = run
  const id = after.id!
  const metrics = before === undefined ? run.broughtMetrics.get(id) ?? [] : await metricsOf(run, id)
  if (before !== undefined) assertSameDevice(before, after, await hasAssociation(client, id), metrics.length > 0)
  const telemetry = telemetryName(after)
  const isRenamed = telemetry !== (before && telemetryName(before))
  if (isRenamed) await putDeviceName(client, id, telemetry === undefined ? [] : await deps.blindIndexes(identifierSystem('telemetry-device'), telemetry))
  const model = registeredModel(after, deps.models)
  const present = new Set<string>()
  for (const metric of metrics) {
    const name = metricOf(metric, telemetry)
    assertChannelUnit(metric, name, model)
    if (name !== undefined) present.add(name)
  }
  if (telemetry === undefined) return []
  for (const channel of model?.channels ?? []) if (!present.has(channel.metric)) await deps.create(channelMetric(id, telemetry, channel))
  if (!isRenamed || before === undefined) return []
  return (await sidsOfDevice(client, id)).flatMap(({ valid }) => valid === undefined ? [] : [{ device: id, telemetry, span: valid }])
}

async function metricsOf (run: Run, device: string): Promise<DeviceMetric[]> {
  const stored = await readReferring(run.client, 'DeviceMetric', 'source', 'Device', device)
  return stored.map(({ text }) => JSON.parse(text) as DeviceMetric)
}

/** What the transaction wrote, by the Device it belongs to. */
function metricsByDevice (written: ReadonlyMap<string, Written>, baseUrl: string): Map<string, DeviceMetric[]> {
  const metrics = of(written, 'DeviceMetric').map(({ after }) => after as DeviceMetric)
  return Map.groupBy(metrics, ({ source }) => readReference(source?.reference, baseUrl)?.id ?? '')
}

async function applyAssociations (run: Run): Promise<{ change: AssociationChange, telemetry: string | undefined }[]> {
  const { client, deps } = run
  const put = of(run.written, 'DeviceUseStatement').map(write => {
    const { before, after } = write as Written<DeviceUseStatement>
    if (before !== undefined) assertSameAssociation(before, after, deps.baseUrl())
    const association = { statement: after, id: after.id!, ...readAssociation(after, deps.baseUrl()) }
    // Identifiers of its Observations are made from the one, and say nothing of the other.
    if (association.id === association.patient) throw ruleBroken('DeviceUseStatement.id', 'must not be the id of the patient')
    return association
  })
  if (put.length === 0) return []
  const changes: { change: AssociationChange, telemetry: string | undefined }[] = []
  for (const association of put) {
    await assertExists(run, 'DeviceUseStatement.subject', 'Patient', association.patient)
    const device = await assertExists(run, 'DeviceUseStatement.device', 'Device', association.device) as Device
    const telemetry = telemetryName(device)
    assertAssociationIdentifier(association.statement, telemetry)
    changes.push({ change: await putAssociation(client, association, deps.pseudonyms), telemetry })
  }
  await assertNoOverlap(client)
  return changes
}

async function applyMetric (run: Run, { before, after, version }: Written<DeviceMetric>, deviceId: string): Promise<{ count: number, jobs: number[] }> {
  const { client, deps, now } = run
  const device = await assertExists(run, 'DeviceMetric.source', 'Device', deviceId) as Device
  const metric = metricOf(after, telemetryName(device))
  if (before !== undefined) assertSameMetric(run, before, metric, deviceId, telemetryName(device))
  assertChannelUnit(after, metric, registeredModel(device, deps.models))
  const records = readCalibrations(after, ucumUnit(after))
  const fresh = newCalibrations(records, before === undefined ? new Map() : await recordedTexts(client, after.id!), before)
  const jobs: number[] = []
  for (const record of fresh) {
    if (metric === undefined) throw ruleBroken('DeviceMetric.identifier(device-metric)', 'a calibrated metric needs its identifier: it names the channel')
    const next: NewCalibration = {
      metricId: after.id!, metricVersion: version, device: deviceId, metric, version: record.version, kind: record.kind,
      coefficients: record.coefficients, effective: record.effective, state: calibrationState(after), normalText: record.normalText, recordedAt: now
    }
    const job = await recordRecalibration(client, await recordCalibration(client, next), next)
    if (job !== undefined) jobs.push(job)
  }
  return { count: fresh.length, jobs }
}

function assertSameMetric (run: Run, before: DeviceMetric, metric: string | undefined, deviceId: string, telemetry: string | undefined): void {
  const instead = 'never changes: make another DeviceMetric'
  if (readTarget('DeviceMetric.source', before.source?.reference, 'Device', run.deps.baseUrl()) !== deviceId) throw ruleBroken('DeviceMetric.source', instead)
  const known = before.identifier?.some(identifier => identifier.system === identifierSystem('device-metric')) ? metricOf(before, telemetry) : undefined
  if (known !== undefined && known !== metric) throw ruleBroken('DeviceMetric.identifier(device-metric)', instead)
}

/** Records that were not there before. A recorded one never changes, and leaves the resource only when a new one takes its place.
 *  @param recorded normal texts by version @throws ServiceError FHIR_BUSINESS_RULE */
export function newCalibrations (records: readonly CalibrationRecord[], recorded: ReadonlyMap<string, string>, before: DeviceMetric | undefined): CalibrationRecord[] {
  const at = 'DeviceMetric.extension(calibration-record)'
  const fresh: CalibrationRecord[] = []
  for (const record of records) {
    const known = recorded.get(record.version)
    if (known === undefined) fresh.push(record)
    else if (known !== record.normalText) throw ruleBroken(at, 'a recorded calibration never changes: record a new one with another version')
  }
  const held = before === undefined ? [] : readCalibrations(before, ucumUnit(before))
  const kept = new Set(records.map(record => record.version))
  if (fresh.length === 0 && held.some(record => !kept.has(record.version))) {
    throw ruleBroken(at, 'a recorded calibration is never removed: record a new one that takes its place')
  }
  return fresh
}

async function assertExists (run: Run, at: string, type: StoredType, id: string): Promise<StoredResource> {
  const here = run.written.get(`${type}/${id}`)
  if (here !== undefined) return here.after
  const stored = await readCurrent(run.client, type, id)
  if (stored === undefined) throw ruleBroken(at, `names a ${type} that does not exist: create it first, or in the same transaction`)
  return JSON.parse(stored.text) as StoredResource
}

function of (written: ReadonlyMap<string, Written>, type: StoredType): Written[] {
  return [...written.values()].filter(({ after }) => after.resourceType === type)
}
