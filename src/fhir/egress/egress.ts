/** Destinations as configured -> one running delivery each, fed from the ledger and the linkage store. */

import type { Patient } from '@medplum/fhirtypes'
import type { Pool } from 'pg'
import type { DestinationSetting } from '../../config/schema.ts'
import type { EpochMs } from '../../model/units.ts'
import type { TopicWriter } from '../../platform/bus/kafka/topic-writer.ts'
import { pause } from '../../platform/pause.ts'
import { readMany } from '../../stores/linkage/resource.ts'
import type { Ledger } from '../../stores/series/ledger-read.ts'
import type { PatientName } from '../views/naming.ts'
import type { FrameTools } from '../views/observation-frame.ts'
import type { ViewLoader } from '../views/observation-load.ts'
import type { ViewContexts } from '../views/view-contexts.ts'
import { createDelivery, type Delivery, type DeliveryEvents, type DeliveryOptions, type DeliveryParts, type LedgerTail } from './deliver.ts'
import { createDeliveryStore } from './delivery-store.ts'
import type { Destination } from './destination.ts'
import { createDirectoryDestination } from './directory-destination.ts'
import { createFhirDestination } from './fhir-destination.ts'
import { createTopicDestination } from './topic-destination.ts'

export interface EgressParts {
  ledger: Ledger
  loader: ViewLoader
  contexts: ViewContexts
  tools: FrameTools
  /** Reads Patients. */
  linkagePool: Pool
  /** Logged in as `oxbow_delivery`. */
  deliveryPool: Pool
  /** Writes to a receiver's topic. */
  topicWriter: (topic: string) => TopicWriter
  events: DeliveryEvents
  now: () => EpochMs
  options?: Partial<DeliveryOptions>
}

export interface Egress {
  /** Windows were written. */
  wake (): void
  close (): Promise<void>
}

/** Starts one loop per destination. */
export function createEgress (destinations: readonly DestinationSetting[], parts: EgressParts): Egress {
  const deliveries: Delivery[] = destinations.map(setting => createDelivery(deliveryParts(createDestination(setting, parts.topicWriter), parts)))
  return {
    wake: () => { for (const delivery of deliveries) delivery.wake() },
    close: async () => { await Promise.all(deliveries.map(delivery => delivery.close())) }
  }
}

/** What a delivery is made of on real stores. */
export function deliveryParts (destination: Destination, parts: EgressParts): DeliveryParts {
  return {
    destination,
    ledger: createLedgerTail(parts),
    contexts: (sids, firmware) => parts.contexts.of(sids, firmware),
    patientIdentifiers: (patients, system) => patientIdentifiers(parts.linkagePool, patients, system),
    store: createDeliveryStore(parts.deliveryPool),
    tools: parts.tools,
    events: parts.events,
    now: parts.now,
    pause,
    ...(parts.options === undefined ? {} : { options: parts.options })
  }
}

export function createDestination ({ kind, name, to, tokenFile, patientSystem, bundleEntriesMax }: DestinationSetting, topicWriter: EgressParts['topicWriter']): Destination {
  const common = {
    name,
    ...(patientSystem === undefined ? {} : { patientSystem }),
    ...(bundleEntriesMax === undefined ? {} : { entriesMax: bundleEntriesMax })
  }
  switch (kind) {
    case 'fhir': return createFhirDestination({ ...common, baseUrl: to, ...(tokenFile === undefined ? {} : { tokenFile }) })
    case 'directory': return createDirectoryDestination({ ...common, folder: to })
    case 'kafka': return createTopicDestination({ ...common, writer: topicWriter(to) })
  }
}

function createLedgerTail ({ ledger, loader }: Pick<EgressParts, 'ledger' | 'loader'>): LedgerTail {
  return {
    writers: async () => (await ledger.writers()).map(({ writer }) => writer),
    async rows (writer, after, limit, last) {
      const rows = (await ledger.afterNumber(writer, after, limit)).filter(row => last === undefined || row.number <= last)
      const views = await loader.written(rows)
      return rows.map((row, place) => ({ number: row.number, row, views: views[place]! }))
    }
  }
}

/** Identifier of each patient in `system`; without a system the first that has one. */
async function patientIdentifiers (pool: Pool, patients: readonly string[], system: string | undefined): Promise<Map<string, { system: string, value: string }>> {
  const found = new Map<string, PatientName>()
  for (const { id, text } of await readMany(pool, 'Patient', patients)) {
    const identifier = (JSON.parse(text) as Patient).identifier?.find(one => one.system !== undefined && one.value !== undefined && (system === undefined || one.system === system))
    if (identifier !== undefined) found.set(id, { system: identifier.system!, value: identifier.value! })
  }
  return found
}
