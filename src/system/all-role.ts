/** Role `all`: everything; of the servers of one deployment the one that leads. */

import type { Egress } from '../fhir/egress/egress.ts'
import { type LinkageJobs, startLinkageJobs } from '../fhir/jobs/linkage-jobs.ts'
import { createSettledCheck } from '../fhir/jobs/settled-check.ts'
import { type Fhir, openFhir } from '../fhir/open-fhir.ts'
import type { LinkageCommit } from '../fhir/resources/linkage-commit.ts'
import { schemaName } from '../ingest/decode/fixed-schemas.ts'
import type { Ingest } from '../ingest/open-ingest.ts'
import { createSetAside } from '../ingest/quarantine/set-aside.ts'
import { startTopicInlets } from '../ingest/topics/start-topic-inlets.ts'
import { startUpkeep } from '../ingest/upkeep.ts'
import { READINGS } from '../model/streams.ts'
import { jobReport } from '../observability/events.ts'
import { topicSourceOf } from '../platform/bus/topic-source-of.ts'
import { topicWriterOf } from '../platform/bus/topic-writer-of.ts'
import type { ObjectStore } from '../platform/objects/object-store.ts'
import { archiveFolderOf, openObjects } from '../platform/objects/open-objects.ts'
import { type LinkageChange, notifyChange } from '../stores/linkage/change-feed.ts'
import { storedByHour } from '../stores/series/counters.ts'
import type { Runners } from '../stream/start-runners.ts'
import { openApi } from './api.ts'
import { startArchive, startParquetFiles } from './archive.ts'
import { leadDatabases } from './databases.ts'
import { type DoorParts, openDoor } from './door.ts'
import { createIdentity, loadModels, openFeed, openKeys, startBus } from './foundations.ts'
import type { Ground } from './ground.ts'
import { createLeading, type Leading } from './leading.ts'
import { openSeries, type SeriesParts, startStream, watchHost, windowSizesOf } from './stream.ts'
import type { Running } from './running.ts'

interface LeadingWork { egress: Egress, jobs: LinkageJobs, stop (): Promise<void> }

interface Parts extends DoorParts {
  objects: ObjectStore
  ingest: Ingest
  seriesParts: SeriesParts
  runners: Runners
}

export async function startAll (ground: Ground): Promise<Running> {
  const { config, now, running } = ground
  const models = await loadModels(config)
  const leading = createLeading<LeadingWork>()
  const stores = await leadDatabases(ground, leading.set)
  const keys = await openKeys(ground, stores)
  const identity = createIdentity(ground, stores, keys)
  const bus = await startBus(ground, stores)
  const objects = await openObjects(config, now)
  const opening = openDoor(ground, { stores, bus, keys, identity, models })
  startArchive(ground, { stores, bus, keys, identity, objects, quarantine: opening.then(({ quarantine }) => quarantine) })
  const ingest = await opening
  const series = await openSeries(ground, stores, models)
  const fhir = fhirOn(ground, series, { stores, identity })
  const runners = startStream(ground, series, {
    bus, models, contexts: identity.contexts, setAside: createSetAside(ingest.quarantine, now, READINGS), onWindows: () => { leading.current()?.egress.wake() }
  })
  const parts: Parts = { stores, bus, keys, objects, identity, models, ingest, seriesParts: series, runners }
  running.push({ name: 'egress, jobs and files', stop: leading.stop })
  leading.run(() => lead(ground, parts, fhir))
  await openFeed(ground, stores, changedElsewhere(parts))
  await ingest.releaser.start()
  readTopics(ground, parts)
  keepUp(ground, parts)
  watchHost(ground, bus, [config.dataDir, ...config['archive.store'] === 'disk' ? [archiveFolderOf(config)] : []])
  const address = await openApi(ground, { ...parts, series: series.series, fhir, onCommitted: changedHere(parts, leading) })
  return { address, models }
}

function fhirOn ({ config, now, log, events }: Ground, { series, mappings, writes }: SeriesParts, { stores, identity }: Pick<DoorParts, 'stores' | 'identity'>): Fhir {
  return openFhir({
    ...mappings, series, contexts: identity.viewContexts, schemaName, events, now, writes, destinations: config['egress.destinations'],
    topicWriter: topic => topicWriterOf(config, topic, detail => { log.debug('egress', { detail }) }),
    seriesPool: stores.pool('oxbow_series'), linkagePool: stores.pool('oxbow_linkage'), deliveryPool: stores.pool('oxbow_delivery')
  })
}

/** What no two servers may do at once. */
function lead (ground: Ground, parts: Parts, fhir: Fhir): LeadingWork {
  const egress = fhir.startEgress()
  const jobs = startJobs(ground, parts)
  const files = startParquetFiles(ground, { ...parts, series: parts.seriesParts.series })
  return { egress, jobs, stop: async () => { await Promise.all([egress.close(), jobs.stop(), files.stop()]) } }
}

function startJobs ({ config, now, events }: Ground, { stores, bus, identity, models, ingest, seriesParts: { series }, runners }: Parts): LinkageJobs {
  const linkagePool = stores.pool('oxbow_linkage')
  return startLinkageJobs({
    linkagePool,
    series,
    sizesMs: windowSizesOf(config),
    isSettled: createSettledCheck({ bus, series, mark: ingest.inFlight.mark, forget: identity.resolver.forget, now }),
    models,
    requarantine: ingest.requarantine,
    releaseDevice: telemetry => { ingest.releaser.associationRecorded([telemetry]) },
    onConflicts: count => {
      events.suppressed('conflict', count)
      events.raise('reading-conflict', { count })
    },
    contextChanged: sids => {
      runners.contextChanged(sids)
      // Series writers elsewhere: a note that does not reach them is made up for by the marks that the job leaves on its windows.
      notifyChange(linkagePool, { devices: [], sids }).catch(() => {})
    },
    report: job => jobReport(events, job),
    now
  })
}

function changedHere ({ identity, ingest, runners }: Parts, leading: Leading<LeadingWork>): (commit: LinkageCommit) => void {
  return commit => {
    identity.resolver.forget(commit.devices)
    ingest.releaser.associationRecorded(commit.gained.map(({ telemetry }) => telemetry))
    identity.viewContexts.forget(commit.devices)
    runners.contextChanged(commit.sids)
    if (commit.relabelJobs.length + commit.recalibrationJobs.length > 0) leading.current()?.jobs.wake()
  }
}

/** Whatever another process changed is forgotten here too; what the feed may have missed is looked for. */
function changedElsewhere ({ identity, ingest, runners }: Parts): (change: LinkageChange | 'all') => void {
  return change => {
    identity.resolver.forget(change === 'all' ? 'all' : change.devices)
    identity.viewContexts.forget(change === 'all' ? 'all' : change.devices)
    runners.contextChanged(change === 'all' ? 'all' : change.sids)
    if (change === 'all') ingest.releaser.releaseAll().catch(() => { /* the hourly sweep looks again */ })
  }
}

/** Topics that others write to: a door of their own, closed before what is behind it. */
function readTopics ({ config, now, log, events, running }: Ground, { stores, ingest }: Parts): void {
  const inlets = startTopicInlets({
    topics: config['ingest.topics'], pool: stores.pool('oxbow_ingest'), acceptMessages: ingest.acceptMessages, events, now,
    gatewayRate: config['ingest.ratePerGateway'] ?? undefined,
    open: reader => topicSourceOf(config, { ...reader, log: detail => { log.debug('inlet', { detail }) } })
  })
  running.push({ name: 'inlets', stop: inlets.close })
}

function keepUp ({ events, now, running }: Ground, { ingest, bus, stores }: Parts): void {
  const upkeep = startUpkeep({
    ingest, events, now,
    backlog: () => bus.backlog(READINGS),
    countedByHour: async (from, until) => new Map([...await storedByHour(stores.pool('oxbow_series'), from, until)].map(([hour, counts]) => [hour, counts.accepted]))
  })
  running.push({ name: 'upkeep', stop: upkeep.stop })
}
