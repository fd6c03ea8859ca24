/** The room put together: what it asks of others → the door, the releaser, the operators' view, in the order they are started and stopped. */

import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import type { DeviceModels } from '../model/device-model.ts'
import type { FirmwareNumber, SidResolver } from '../model/identity.ts'
import type { ModelKey } from '../model/reading.ts'
import type { EpochMs } from '../model/units.ts'
import { type Events, jobReport } from '../observability/events.ts'
import type { Bus } from '../platform/bus/bus.ts'
import type { DataKeys } from '../security/data-keys.ts'
import type { Fingerprint } from '../security/fingerprint.ts'
import { type Accept, createAccept } from './accept.ts'
import { type AcceptMessages, createAcceptMessages } from './accept-messages.ts'
import { type Admit, createAdmission } from './admit.ts'
import { CHECK_LIMITS } from './check-reading.ts'
import { type ArrivalCounters, createArrivalCounters } from './counters.ts'
import { CONTENT_LIMITS } from './decode/content.ts'
import type { BodyLimits } from './decode/decode-body.ts'
import { DECODE_LIMITS } from './decode/record.ts'
import { createIdentify } from './identify.ts'
import { createInFlight, type InFlight } from './in-flight.ts'
import { expireItems, type ExpiryOptions } from './quarantine/expiry.ts'
import { openQuarantine, type Quarantine, type QuarantineOptions } from './quarantine/quarantine.ts'
import { type DeviceIndexOf, returnedSource } from './quarantine/quarantine-item.ts'
import { createQuarantineReview, type QuarantineReview } from './quarantine/quarantine-review.ts'
import { createReleaser, type Releaser } from './quarantine/release.ts'
import { createReleaseItems, type ReleaseItems } from './quarantine/release-items.ts'
import { requarantine, type ReturnedReading } from './quarantine/requarantine.ts'
import type { Rate } from './rate-limit.ts'
import { createConfluentClient, type ExternalRegistrySettings } from './schemas/confluent-client.ts'
import { createExternalSchemas } from './schemas/external-schemas.ts'
import { createRegistry, type Registry } from './schemas/registry.ts'
import { createSchemaLookup } from './schemas/schema-lookup.ts'

export interface IngestOptions {
  /** Login `oxbow_ingest` on the bus database. */
  pool: Pool
  bus: Pick<Bus, 'publish'>
  dataKeys: Pick<DataKeys, 'forSid' | 'warm' | 'forDay'>
  /** Blind index of a device's name in telemetry, system `…/identifier/telemetry-device`, under the newest version of the key. */
  deviceIndexOf: DeviceIndexOf
  /** Of what stands in quarantine. */
  fingerprint: Fingerprint
  resolve: SidResolver
  firmwareNumber: FirmwareNumber
  models: DeviceModels
  events: Pick<Events, 'accepted' | 'quarantined' | 'repeated' | 'released' | 'discarded' | 'limited' | 'schema' | 'raise' | 'clear'>
  now: () => EpochMs
  /** Where schemas are registered, if not here. */
  externalRegistry?: ExternalRegistrySettings | undefined
  /** Of decoding; what is missing has its default. */
  limits?: Partial<BodyLimits>
  /** How far ahead of the server a reading may lie, in ms. Default 5 min. */
  futureMaxMs?: number
  /** What a gateway and a device may send over HTTP; absent: as much as they like. */
  gatewayRate?: Rate | undefined
  deviceRate?: Rate | undefined
  /** Most open items, and their bytes; what is missing has its default. */
  quarantineLimits?: Pick<QuarantineOptions, 'itemsMax' | 'bytesMax'>
  /** Times of expiry; what is missing has its default. */
  expiry?: Pick<ExpiryOptions, 'retainMs' | 'retainWaitingMs' | 'announceMs' | 'retainSettledMs'>
  /** Pause before a release that had no answer is tried again. Default 5 s. */
  releaseRetryMs?: number
  /** Told apart in source positions. Default random. */
  instance?: string
}

export interface Ingest {
  accept: Accept
  /** The same for messages of topics that others write to. */
  acceptMessages: AcceptMessages
  counters: ArrivalCounters
  quarantine: Quarantine
  /** Call `start` before the door opens; a process that only reviews does not start it. */
  releaser: Releaser
  review: QuarantineReview
  /** The built-in one; absent where schemas are registered elsewhere. */
  registry: Registry | undefined
  /** Of everything that identifies readings here and appends them. */
  inFlight: Pick<InFlight, 'mark'>
  /** To be run about hourly. */
  expire (): Promise<number>
  /** Tells of senders that are held back for long; to be called about once a minute. */
  reportLimits (): void
  /** Readings of a device that no association covers any more. */
  requarantine (deviceId: string, readings: readonly ReturnedReading[]): Promise<void>
  /** After the door is closed: ends releases, writes the last counters. The pool is the caller's. */
  close (): Promise<void>
}

const FIRMWARES_RAISED_MAX = 1_000

/** One alarm for each firmware, not for each reading; it ends with a start on a registry that lists it. */
function raiseOnce (events: Pick<Events, 'raise'>): (model: ModelKey, firmware: number) => void {
  const raised = new Set<string>()
  return (model, firmware) => {
    const key = `${model}/${firmware}`
    if (raised.has(key) || raised.size >= FIRMWARES_RAISED_MAX) return
    raised.add(key)
    events.raise('firmware-unknown', { detail: model })
  }
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openIngest (options: IngestOptions): Promise<Ingest> {
  const { pool, bus, dataKeys, events, now, instance = randomUUID() } = options
  const limits: BodyLimits = { ...DECODE_LIMITS, ...CONTENT_LIMITS, ...options.limits }
  const publish: Bus['publish'] = records => bus.publish(records)
  const quarantine = await openQuarantine({
    pool, dataKeys, deviceIndexOf: options.deviceIndexOf, fingerprint: options.fingerprint, events, now, ...options.quarantineLimits
  })
  const checkLimits = options.futureMaxMs === undefined ? CHECK_LIMITS : { futureMaxMs: options.futureMaxMs }
  const identify = createIdentify({
    resolve: options.resolve, firmwareNumber: options.firmwareNumber, models: options.models, checkLimits, onUnknownFirmware: raiseOnce(events)
  })
  const { models, externalRegistry } = options
  const schemas = createSchemaLookup({
    pool, now,
    ...(externalRegistry === undefined ? {} : {
      external: kept => createExternalSchemas({ pool, models, events, registry: externalRegistry.url, fetch: createConfluentClient(externalRegistry), kept })
    })
  })
  // What still comes in a schema that is not known raises it again.
  const onRegistered = (): void => {
    schemas.forgetMisses()
    events.clear('schema-refused')
  }
  const registry = externalRegistry === undefined ? createRegistry({ pool, models, events, onRegistered }) : undefined
  const counters = createArrivalCounters({ pool })
  const inFlight = createInFlight()
  const sidNow = async (deviceId: string) => (await options.resolve(deviceId, now())).sid
  const release = createReleaseItems({ publish, dataKeys, identify, quarantine, events, limits, schemas, sidNow })
  const releaseItems: ReleaseItems = (items, how) => inFlight.run(() => release(items, how))
  const releaser = createReleaser({
    quarantine, releaseItems, report: jobReport(events, 'release from quarantine'), ...(options.releaseRetryMs === undefined ? {} : { retryMs: options.releaseRetryMs })
  })
  const admission = createAdmission({ gatewayRate: options.gatewayRate, deviceRate: options.deviceRate, events, now })
  const door = { publish, dataKeys, identify, quarantine, enterGate: releaser.enterGate, counters, events, now, limits, schemas }
  const acceptFrom = (inlet: string, admit?: Admit): Accept => {
    const accept = createAccept({ ...door, admit, inlet: `${inlet}/${instance}` })
    return (body, gateway) => inFlight.run(() => accept(body, gateway))
  }
  const acceptMessages = createAcceptMessages(door)
  const review = createQuarantineReview({ publish, dataKeys, pool, quarantine, releaseItems, identify, accept: acceptFrom('resubmit'), limits, schemas, now })
  return {
    accept: acceptFrom('http', admission?.admit),
    acceptMessages: messages => inFlight.run(() => acceptMessages(messages)),
    counters,
    quarantine,
    releaser,
    review: { ...review, resubmit: ids => inFlight.run(() => review.resubmit(ids)) },
    registry,
    inFlight,
    reportLimits: () => { admission?.report() },
    expire: () => expireItems({ pool, quarantine, events, now, ...options.expiry }),
    async requarantine (deviceId, readings) {
      const visit = releaser.enterGate()
      try {
        visit.willWait(deviceId, 'not-associated')
        await requarantine(quarantine, deviceId, readings, now(), returnedSource(instance))
      } finally {
        visit.end()
      }
    },
    async close () {
      await releaser.close()
      await counters.close()
    }
  }
}
