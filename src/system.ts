/** Config → running system: built top to bottom, stopped bottom to top. The one place that knows every room. */

import { Registry as MetricsRegistry } from 'prom-client'
import { authPlugin } from './auth/auth.plugin.ts'
import { openVerifier } from './auth/open-auth.ts'
import { deficitProblems, loadDeviceModels, windowSizeProblems } from './config/device-models.ts'
import { MAPPINGS_FOLDER, MODELS_FOLDER, VERSION } from './config/product.ts'
import type { Config } from './config/schema.ts'
import { assertMayStart } from './config/start-refusals.ts'
import { frontPageRoutes } from './dashboard/front-page.routes.ts'
import { type FrontPageSources, openFrontPage } from './dashboard/open-front-page.ts'
import { createDemonstrationWard } from './fhir/views/demonstration-ward.ts'
import { fhirRoutes } from './fhir/api/fhir.routes.ts'
import type { LinkageCommit } from './fhir/resources/linkage-commit.ts'
import { startLinkageJobs } from './fhir/jobs/linkage-jobs.ts'
import { mappingVersionOf } from './fhir/views/mapping.ts'
import { openFhir, type Fhir } from './fhir/open-fhir.ts'
import { createRepository } from './fhir/resources/repository.ts'
import { createSettledCheck } from './fhir/jobs/settled-check.ts'
import { createViewContexts } from './fhir/views/view-contexts.ts'
import { createApp } from './http/app.ts'
import { healthRoutes } from './http/health.routes.ts'
import { metricsRoutes } from './http/metrics.routes.ts'
import { ingestRoutes } from './ingest/ingest.routes.ts'
import { quarantinedOf } from './ingest/counters.ts'
import { type Ingest, openIngest } from './ingest/open-ingest.ts'
import { schemaName } from './ingest/decode/fixed-schemas.ts'
import type { QuarantineReview } from './ingest/quarantine/quarantine-review.ts'
import type { ForeignRegistrySettings } from './ingest/schemas/confluent-client.ts'
import { createForeignView, type RegistryView } from './ingest/schemas/foreign-view.ts'
import { createRegistry } from './ingest/schemas/registry.ts'
import { startTopicInlets } from './ingest/topics/open-topic-inlets.ts'
import { registryRoutes } from './ingest/schemas/registry.routes.ts'
import { startUpkeep } from './ingest/upkeep.ts'
import type { DeviceModels } from './model/device-model.ts'
import { ServiceError } from './model/errors.ts'
import { identifierSystem } from './model/identifier.ts'
import { RAW, READINGS } from './model/streams.ts'
import type { EpochMs } from './model/units.ts'
import { createEvents, type Events, jobReport } from './observability/events.ts'
import { startHostWatch } from './observability/host-watch.ts'
import { createLogger, errorFields, type Logger } from './observability/logger.ts'
import type { Bus } from './platform/bus/bus.ts'
import { readEnds } from './platform/bus/embedded/tables.ts'
import { openBus } from './platform/bus/open-bus.ts'
import { topicSourceOf } from './platform/bus/open-topic-source.ts'
import { topicWriterOf } from './platform/bus/open-topic-writer.ts'
import { keyFileOf } from './platform/keys/key-file.ts'
import { openKeyRing } from './platform/keys/open-key-ring.ts'
import { openObjects } from './platform/objects/open-objects.ts'
import { openStores, reachStores, type Stores } from './platform/postgres/open-stores.ts'
import { createWriteClock } from './platform/write-clock.ts'
import { loadBlindIndex } from './security/blind-index.ts'
import { createDataKeys } from './security/data-keys.ts'
import { loadFingerprint } from './security/fingerprint.ts'
import { drawSid, drawSubj } from './security/sid.ts'
import { type ArchiveView, archiveView } from './stores/archive/archive-view.ts'
import { loadDirectoryKey } from './stores/archive/directory-key.ts'
import { openArchive } from './stores/archive/open-archive.ts'
import { createChangeFeed } from './stores/linkage/change-feed.ts'
import { createFirmwareNumber } from './stores/linkage/firmware.ts'
import { createSidResolver } from './stores/linkage/resolve-sid.ts'
import { createSidContexts } from './stores/linkage/sid-contexts.ts'
import { storedByHour } from './stores/series/counters.ts'
import { createSeriesStore, type SeriesStore } from './stores/series/series-store.ts'
import { type Runners, startRunners } from './stream/start-runners.ts'
import { streamSettings } from './stream/stream-settings.ts'

export interface System {
  /** `http://host:port` it listens on. */
  address: string
  models: DeviceModels
  /** Lets what was accepted become durable, then ends everything; a part that fails to stop keeps no other from stopping. */
  stop (): Promise<void>
}

export interface SystemOptions {
  config: Config
  now: () => EpochMs
  /** Receives whole log lines. */
  writeLog: (line: string) => void
  /** The embedded cluster was taken by another process: this one must end. */
  onLost: () => void
}

/** What every part is built with. */
interface Ground extends SystemOptions {
  log: Logger
  registry: MetricsRegistry
  events: Events
  /** Parts running so far; ended in reverse. */
  running: { name: string, stop: () => Promise<unknown> }[]
  /** Names of what is missing for `/health/ready`. */
  missing: Set<string>
}

/** @throws ServiceError naming what is wrong; whatever was started by then is stopped again */
export async function startSystem (options: SystemOptions): Promise<System> {
  assertMayStart(options.config, keyFileOf(options.config))
  const ground = groundOf(options)
  try {
    return await build(ground)
  } catch (error) {
    await stopAll(ground)
    throw error
  }
}

/** What operators do with quarantine, on the databases of this deployment, whether or not a server runs on them.
 *  @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openReview (options: SystemOptions): Promise<{ review: QuarantineReview, close (): Promise<void> }> {
  const ground = groundOf(options)
  const stores = await reachStores(options.config)
  ground.running.push({ name: 'stores', stop: stores.close })
  try {
    const models = await loadModels(options.config)
    const keys = await openKeys(ground, stores)
    const identity = createIdentity(ground, stores, keys)
    const bus = await startBus(ground, stores)
    const { review } = await openDoor(ground, { stores, bus, keys, identity, models })
    return { review, close: () => stopAll(ground) }
  } catch (error) {
    await stopAll(ground)
    throw error
  }
}

/** The schemas that are registered in this deployment, whether or not a server runs on it. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openRegistry (options: SystemOptions): Promise<{ registry: RegistryView, close (): Promise<void> }> {
  const { config, events } = groundOf(options)
  const models = await loadModels(config)
  const stores = await reachStores(config)
  const pool = stores.pool('oxbow_ingest')
  const foreign = foreignRegistryOf(config)
  return { registry: foreign === undefined ? createRegistry({ pool, models, events }) : createForeignView({ pool, models, registry: foreign.url }), close: stores.close }
}

/** `undefined`: schemas are registered here. */
function foreignRegistryOf (config: Config): ForeignRegistrySettings | undefined {
  const { 'schemas.registry': url, 'schemas.username': username, 'schemas.password': password, 'schemas.token': token } = config
  if (url === 'built-in') return undefined
  if (!URL.canParse(url)) throw new ServiceError('incorrect', 'CONFIG_INVALID', 'schemas.registry must be built-in, or an http(s) address')
  const authorization = token !== '' ? `Bearer ${token}` : username !== '' ? `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` : ''
  return { url: url.replace(/\/+$/, ''), authorization }
}

/** What stands in the archive of this deployment, whether or not a server runs. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openArchiveView (options: SystemOptions): Promise<{ view: ArchiveView, close (): Promise<void> }> {
  const { config, now } = options
  const ground = groundOf(options)
  const stores = await reachStores(config)
  ground.running.push({ name: 'stores', stop: stores.close })
  try {
    const keyRing = await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now })
    const view = archiveView({ pool: stores.pool('oxbow_archive'), objects: await openObjects(config, now), keyRing, ends: () => rawEnds(config, stores) })
    return { view, close: () => stopAll(ground) }
  } catch (error) {
    await stopAll(ground)
    throw error
  }
}

/** Loaded where it is asked: the client of Kafka costs memory and time at the start. */
async function rawEnds (config: Config, stores: Stores): Promise<ReadonlyMap<number, number>> {
  if (config['bus.kind'] === 'embedded') return readEnds(stores.pool('oxbow_bus'), RAW)
  return (await import('./platform/bus/kafka/govern-topics.ts')).endsOf(config, RAW)
}

function groundOf (options: SystemOptions): Ground {
  const log = createLogger(options.config['log.level'], options.writeLog)
  const registry = new MetricsRegistry()
  return { ...options, log, registry, events: createEvents(registry, log, options.now), running: [], missing: new Set() }
}

async function build (ground: Ground): Promise<System> {
  const { config, now, log, events, running } = ground
  const models = await loadModels(config)
  const stores = await openDatabases(ground)
  const keys = await openKeys(ground, stores)
  const identity = createIdentity(ground, stores, keys)
  const bus = await startBus(ground, stores)
  await startArchive(ground, { stores, bus, keys })
  const ingest = await openDoor(ground, { stores, bus, keys, identity, models })
  const series = createSeriesStore(stores.pool('oxbow_series'))
  await series.recordModels(models.values())
  const stream = streamSettings(config, models)
  // The resources have another one: what is slow in one store holds back no search in the other.
  const writes = createWriteClock(now)
  const fhir = await openFhir({
    mappingsFolder: MAPPINGS_FOLDER, models, stream, series, contexts: identity.viewContexts, schemaName, events, now, writes, destinations: config['egress.destinations'],
    topicWriter: topic => topicWriterOf(config, topic, detail => { log.debug('egress', { detail }) }),
    seriesPool: stores.pool('oxbow_series'), linkagePool: stores.pool('oxbow_linkage'), deliveryPool: stores.pool('oxbow_delivery')
  })
  running.push({ name: 'egress', stop: fhir.egress.close })
  const runners = startRunners({
    bus, sink: series, contexts: identity.contexts, models, now, writes, events,
    settings: { ...stream, mappingVersion: (metric, model) => mappingVersionOf(fhir.mappings, metric, model) },
    writers: config['series.writers'],
    partitionCount: bus.partitionCount(READINGS),
    recordsMax: config['series.commitMaxRows'],
    onWindows: fhir.egress.wake
  })
  running.push({ name: 'stream', stop: runners.stop })
  const { contextChanged } = runners
  const jobs = startLinkageJobs({
    linkagePool: stores.pool('oxbow_linkage'),
    series,
    sizesMs: [...new Set([config['stream.windowSize'], ...Object.values(config['stream.windowSizes'])])],
    isSettled: createSettledCheck({ bus, series, mark: ingest.inFlight.mark, forget: identity.resolver.forget, now }),
    models,
    requarantine: ingest.requarantine,
    releaseDevice: telemetry => { ingest.releaser.associationRecorded([telemetry]) },
    onConflicts: count => {
      events.suppressed('conflict', count)
      events.raise('reading-conflict', { count })
    },
    contextChanged,
    report: job => jobReport(events, job),
    now
  })
  running.push({ name: 'jobs', stop: jobs.stop })
  const onCommitted = (commit: LinkageCommit): void => {
    identity.resolver.forget(commit.devices)
    ingest.releaser.associationRecorded(commit.gained.map(({ telemetry }) => telemetry))
    identity.viewContexts.forget(commit.devices)
    contextChanged(commit.sids)
    if (commit.relabelJobs.length + commit.recalibrationJobs.length > 0) jobs.wake()
  }
  await openFeed(ground, stores, identity, ingest, contextChanged)
  await ingest.releaser.start()
  const inlets = startTopicInlets({
    topics: config['ingest.topics'], pool: stores.pool('oxbow_ingest'), acceptMessages: ingest.acceptMessages, events, now,
    open: reader => topicSourceOf(config, { ...reader, log: detail => { log.debug('inlet', { detail }) } })
  })
  running.push({ name: 'inlets', stop: inlets.close })
  const upkeep = startUpkeep({
    ingest, events, now,
    backlog: () => bus.backlog(READINGS),
    countedByHour: async (from, until) => new Map([...await storedByHour(stores.pool('oxbow_series'), from, until)].map(([hour, counts]) => [hour, counts.accepted]))
  })
  const watch = startHostWatch({
    folder: config.dataDir,
    topics: [
      { topic: READINGS, backlog: () => bus.backlog(READINGS), backlogMax: config['bus.backlogMax'], alarm: 'bus-behind' },
      { topic: RAW, backlog: () => bus.backlog(RAW), backlogMax: config['archive.backlogMax'], alarm: 'archive-behind' }
    ],
    events
  })
  running.push({ name: 'upkeep', stop: async () => {
    watch.stop()
    await upkeep.stop()
  } })
  const address = await openApp(ground, { stores, bus, series, keys, identity, models, ingest, fhir, onCommitted })
  log.info('listening', { event: 'system.started', version: VERSION })
  return { address, models, stop: () => stopAll(ground) }
}

type Keys = Awaited<ReturnType<typeof openKeys>>
type Identity = ReturnType<typeof createIdentity>

/** The one version of K_link in use. */
const K_LINK = 1

async function loadModels (config: Config): Promise<DeviceModels> {
  const models = await loadDeviceModels(MODELS_FOLDER)
  const problems = [
    ...deficitProblems(models, config['stream.deficits']).map(problem => `stream.deficits: ${problem}`),
    ...windowSizeProblems(models, config['stream.windowSizes']).map(problem => `stream.windowSizes: ${problem}`)
  ]
  if (problems.length > 0) throw new ServiceError('incorrect', 'CONFIG_INVALID', problems.join('; '))
  return models
}

async function openDatabases ({ config, running, missing, onLost }: Ground): Promise<Stores> {
  const stores = await openStores(config, { onState: state => {
    if (state === 'taken') onLost()
    if (state === 'up') missing.delete('postgres')
    else missing.add('postgres')
  } })
  running.push({ name: 'stores', stop: stores.close })
  return stores
}

async function openKeys ({ config, now }: Ground, stores: Stores) {
  const keyRing = await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now })
  const blindIndex = await loadBlindIndex(keyRing, K_LINK)
  const page = await keyRing.dek('linkage', { store: 'linkage', object: 'page', purpose: 'page-token' })
  return {
    dataKeys: createDataKeys({ keyRing, now }),
    fingerprint: await loadFingerprint(keyRing),
    directoryKey: await loadDirectoryKey(keyRing),
    pageKey: page.key,
    indexOf: (system: string, value: string) => blindIndex('device', system, value)
  }
}

function createIdentity ({ config, now }: Ground, stores: Stores, { indexOf }: Keys) {
  const pool = stores.pool('oxbow_linkage')
  const blindIndexes = (system: string, value: string) => [{ ver: K_LINK, bi: indexOf(system, value) }]
  return {
    blindIndexes,
    resolver: createSidResolver({ pool, blindIndexes, patientSystems: config['ingest.patientSystems'], now }),
    contexts: createSidContexts(pool),
    viewContexts: createViewContexts({ pool }),
    firmwareNumber: createFirmwareNumber({ pool })
  }
}

async function startBus ({ config, now, events, log, running }: Ground, stores: Stores): Promise<Bus> {
  const bus = await openBus(config, {
    url: stores.url('oxbow_bus'),
    now,
    onReachable: isReachable => { if (isReachable) events.clear('bus-failed'); else events.raise('bus-failed') },
    log: detail => { log.debug('bus', { detail }) }
  })
  running.push({ name: 'bus', stop: bus.close })
  return bus
}

/** Stopped after the door: what came in by then is archived too. */
async function startArchive ({ config, now, events, running }: Ground, { stores, bus, keys }: Pick<DoorParts, 'stores' | 'bus' | 'keys'>): Promise<void> {
  const archive = openArchive({
    bus, pool: stores.pool('oxbow_archive'), objects: await openObjects(config, now), events, now,
    keys: { directory: keys.directoryKey, ofSids: keys.dataKeys.heldForSids },
    sliceMs: config['archive.sliceTime'], sliceBytes: config['archive.sliceBytes']
  })
  running.push({ name: 'archive', stop: archive.stop })
}

interface DoorParts { stores: Stores, bus: Bus, keys: Keys, identity: Identity, models: DeviceModels }

async function openDoor ({ config, events, now, running }: Ground, { stores, bus, keys, identity, models }: DoorParts): Promise<Ingest> {
  const ingest = await openIngest({
    pool: stores.pool('oxbow_ingest'),
    bus,
    dataKeys: keys.dataKeys,
    deviceIndexOf: deviceId => ({ version: K_LINK, index: keys.indexOf(identifierSystem('telemetry-device'), deviceId) }),
    fingerprint: keys.fingerprint,
    resolve: identity.resolver.resolve,
    firmwareNumber: identity.firmwareNumber,
    models,
    events,
    now,
    limits: {
      bodyBytesMax: config['ingest.bodyMax'],
      inflatedBytesMax: config['ingest.inflatedMax'],
      recordsMax: config['ingest.recordsMax'],
      recordBytesMax: config['ingest.recordMax'],
      depthMax: config['ingest.depthMax']
    },
    futureMaxMs: config['ingest.futureMax'],
    gatewayRate: config['ingest.ratePerGateway'] ?? undefined,
    deviceRate: config['ingest.ratePerDevice'] ?? undefined,
    foreignRegistry: foreignRegistryOf(config),
    quarantineItemsMax: config['quarantine.itemsMax'],
    expiry: { retainMs: config['quarantine.retain'], retainWaitingMs: config['quarantine.retainWaiting'] }
  })
  running.push({ name: 'ingest', stop: ingest.close })
  return ingest
}

/** Whatever another process changed is forgotten here too; what the feed may have missed is looked for. */
async function openFeed ({ running }: Ground, stores: Stores, identity: Identity, ingest: Ingest, contextChanged: Runners['contextChanged']): Promise<void> {
  const feed = await createChangeFeed({
    pool: stores.pool('oxbow_linkage'),
    onChange: change => {
      identity.resolver.forget(change === 'all' ? 'all' : change.devices)
      identity.viewContexts.forget(change === 'all' ? 'all' : change.devices)
      contextChanged(change === 'all' ? 'all' : change.sids)
      if (change === 'all') ingest.releaser.releaseAll().catch(() => { /* the hourly sweep looks again */ })
    }
  })
  running.push({ name: 'change feed', stop: feed.close })
}

/** Most findings reported for one resource: more would not help anybody. */
const FINDINGS_MAX = 50

interface AppDeps { stores: Stores, bus: Bus, series: SeriesStore, keys: Keys, identity: Identity, models: DeviceModels, ingest: Ingest, fhir: Fhir, onCommitted: (commit: LinkageCommit) => void }

async function openApp (ground: Ground, deps: AppDeps): Promise<string> {
  const { config, now, log, events, registry, missing, running } = ground
  const { stores, keys, identity, models, ingest, fhir, onCommitted } = deps
  let address = ''
  const publicUrl = (): string => config['http.publicUrl'] || address
  const verify = await openVerifier(config, keyFileOf(config), now)
  const store = createRepository({
    pool: stores.pool('oxbow_linkage'), models, blindIndexes: identity.blindIndexes, pseudonyms: { drawSid, drawSubject: drawSubj },
    baseUrl: () => `${publicUrl()}/fhir`, isDemo: config.demo === 'on', writes: createWriteClock(now), onCommitted
  })
  const app = await createApp({
    log,
    events,
    auth: authPlugin({ verify }),
    isDemo: config.demo === 'on',
    bodyMax: config['fhir.bodyMax'],
    routes: [
      ingestRoutes({ accept: ingest.accept, counters: ingest.counters, events, now, bodyBytesMax: config['ingest.bodyMax'] }),
      ...ingest.registry === undefined ? [] : [registryRoutes(ingest.registry)],
      fhirRoutes({
        store,
        searchObservations: fhir.observations.search,
        readObservation: fhir.observations.read,
        readObservationHistory: fhir.observations.history,
        limits: { countDefault: config['fhir.countDefault'], countMax: config['fhir.countMax'], bundleEntriesMax: config['fhir.bundleEntriesMax'], findingsMax: FINDINGS_MAX },
        baseUrl: () => `${publicUrl()}/fhir`,
        pageKey: keys.pageKey,
        version: VERSION,
        now
      }),
      healthRoutes({ missing: () => missingParts(missing, stores), alarms: events.raisedAlarms, notes: () => config['stream.deficits'].length === 0 ? ['no signed threshold is configured: the tissue oxygen deficit is not computed'] : [] }),
      metricsRoutes(registry),
      frontPageRoutes(openFrontPage(frontPageSources(ground, deps, publicUrl)))
    ]
  })
  address = await app.listen(config['http.host'], config['http.port'])
  // Pushed last: the door closes first, so that everything behind it can finish what was let in.
  running.push({ name: 'http', stop: () => app.close(config['http.stopTimeout']) })
  return address
}

/** Names of what is not there: a part that said so, or a store that does not answer. */
async function missingParts (missing: ReadonlySet<string>, stores: Stores): Promise<string[]> {
  return [...missing, ...(await stores.unreachable()).map(store => `store ${store}`)]
}

/** Curves and names are those of invented patients, and only where the ward runs: the page is public. */
function frontPageSources ({ config, events, missing, now }: Ground, { stores, bus, series, keys, models }: AppDeps, address: () => string): FrontPageSources {
  const ingestPool = stores.pool('oxbow_ingest')
  const quarantined = async (telemetry: string): Promise<number> => {
    const counts = await quarantinedOf(ingestPool, { version: K_LINK, index: keys.indexOf(identifierSystem('telemetry-device'), telemetry) })
    return counts.records + counts.returned - counts.repeated - counts.released
  }
  return {
    ingestPool,
    seriesPool: stores.pool('oxbow_series'),
    ward: config.demo === 'on' ? createDemonstrationWard({ linkagePool: stores.pool('oxbow_linkage'), series, models, quarantinedOf: quarantined, now }) : undefined,
    backlog: () => bus.backlog(READINGS),
    missing: () => missingParts(missing, stores),
    alarms: events.raisedAlarms,
    postgresKind: config['postgres.kind'],
    writerCount: config['series.writers'],
    destinationCount: config['egress.destinations'].length,
    version: VERSION,
    address,
    now
  }
}

async function stopAll ({ running, log }: Ground): Promise<void> {
  for (let part = running.pop(); part !== undefined; part = running.pop()) {
    try {
      await part.stop()
    } catch (error) {
      log.error('a part did not stop', { detail: part.name, ...errorFields(error) })
    }
  }
}
