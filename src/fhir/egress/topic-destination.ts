/** A receiver's own Kafka topic as destination: each Bundle a record, all about one patient in one partition and in order.
 *  After a lost answer a message may stand there twice, under one MessageHeader.id: receivers of messages know a repetition by it. */

import { ServiceError } from '../../model/errors.ts'
import type { TopicWriter } from '../../platform/bus/kafka/topic-writer.ts'
import { unlessAborted } from '../../platform/within.ts'
import { BUNDLE_ENTRIES_MAX, type Destination } from './destination.ts'

export interface TopicDestinationOptions {
  name: string
  writer: TopicWriter
  patientSystem?: string
  entriesMax?: number
}

const HEADERS = { 'content-type': 'application/fhir+json; fhirVersion=4.0' }

export function createTopicDestination ({ name, writer, patientSystem, entriesMax }: TopicDestinationOptions): Destination {
  return {
    name,
    patientSystem,
    form: 'message',
    entriesMax: entriesMax ?? BUNDLE_ENTRIES_MAX,
    async send ({ key, text }, signal) {
      try {
        await unlessAborted(writer.write({ key, value: text, headers: HEADERS }), signal)
        return { outcome: 'delivered' }
      } catch (error) {
        if (!(error instanceof ServiceError)) return { outcome: 'retry', reason: 'WRITE' }
        return error.code === 'BUS_RECORD_TOO_LARGE' ? { outcome: 'refused', reason: error.code } : { outcome: 'retry', reason: error.code }
      }
    },
    close: () => writer.close()
  }
}
