/** What an object of the archive says of itself: in its sealed directory, and in its row of the manifest with what only its finished bytes can tell. */

import { hash } from 'node:crypto'
import type { ContentKind } from '../../ingest/decode/record.ts'

/** Times are ISO 8601, UTC; digests hexadecimal. */
export interface Facts {
  v: 1
  object: string
  topic: string
  partition: number
  /** Offset of the first record, and the one after the last. */
  first: number
  next: number
  /** SHA-256 of the manifest before this one in its partition; zeros before the first. */
  previous: string
  /** Version and commit of the Oxbow that made it: `0.1.0+1a2b…`; without a commit where none was known. */
  oxbow: string
  madeAt: string
  receivedFrom: string
  receivedTo: string
  /** Original records in it, and their bytes. */
  readings: number
  readingBytes: number
  /** Records of the topic, and originals in them, that nothing opens any more: the key of their sid was destroyed before they were archived. */
  erased: { records: number, readings: number }
  /** Those in it by how they are read. */
  schemas: readonly { content: ContentKind, id: number, readings: number }[]
  /** Those in it and those erased, by inlet, ascending: from the lowest to the highest number of their requests. */
  sources: readonly { inlet: string, from: number, to: number, readings: number }[]
}

export interface Manifest extends Facts {
  /** Id of the key that seals the directory. */
  key: string
  /** Size of the object, and the SHA-256 of its bytes. */
  bytes: number
  sha256: string
}

/** Of the manifest before the first. */
export const NO_DIGEST = '0'.repeat(64)

/** The bytes that stand in its row and that its digest is of. */
export function manifestText (manifest: Manifest): string { return JSON.stringify(manifest) }

/** Hexadecimal. */
export function sha256 (of: string | Uint8Array): string { return hash('sha256', of) }
