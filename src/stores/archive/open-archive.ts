/** The archive put together: its database, its objects and keys → the writer; its reports become events. */

import type { Pool } from 'pg'
import { build } from '../../config/product.ts'
import type { Events } from '../../observability/events.ts'
import { errorFields } from '../../observability/logger.ts'
import { commitObject, openHeads, reserve } from './manifest-rows.ts'
import { type ArchiveWriter, type ArchiveWriterParts, startArchiveWriter } from './writer.ts'

export interface ArchiveParts extends Pick<ArchiveWriterParts, 'bus' | 'objects' | 'keys' | 'setAside' | 'now' | 'sliceMs' | 'sliceBytes'> {
  /** Login `oxbow_archive`. */
  pool: Pool
  events: Pick<Events, 'archived' | 'raise' | 'clear'>
}

/** Of the sealed records gathered in memory. */
const GATHERED_BYTES_MAX = 64 * 1024 * 1024
const RECORDS_MAX = 10_000
const TICK_MS = 1_000
/** Records are there for those at the door first; what waits so long waits in the memory of the bus. */
const PACE_MS = 100
const RETRY_MS = 500
const RETRY_MAX_MS = 30_000
const STOP_MS = 4_000

export function openArchive ({ pool, events, ...parts }: ArchiveParts): ArchiveWriter {
  return startArchiveWriter({
    ...parts,
    rows: {
      openHeads: partitions => openHeads(pool, partitions),
      reserve: (head, range) => reserve(pool, head, range),
      commitObject: (head, manifest) => commitObject(pool, head, manifest)
    },
    oxbow: build(),
    bytesMax: GATHERED_BYTES_MAX,
    recordsMax: RECORDS_MAX,
    tickMs: TICK_MS,
    paceMs: PACE_MS,
    retryMs: RETRY_MS,
    retryMaxMs: RETRY_MAX_MS,
    stopMs: STOP_MS,
    report: {
      archived: ({ readings, erased, bytes }) => { events.archived(readings, erased.readings, bytes) },
      foreign: count => { events.raise('foreign-record', { count }) },
      failed: error => { events.raise('archive-failed', errorFields(error)) },
      recovered: () => { events.clear('archive-failed') }
    }
  })
}
