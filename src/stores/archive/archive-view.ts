/** What operators ask the archive: whether all of it is there, and what it holds. */

import type { Manifest } from './manifest.ts'
import { manifestRows } from './manifest-rows.ts'
import { type Report, verifyArchive, type VerifyParts, type VerifySpan } from './verify.ts'

export interface ArchiveView {
  verify (span: VerifySpan): Promise<Report>
  /** By partition and offset; of those that are written. */
  list (span: VerifySpan): AsyncIterable<Manifest>
}

export function archiveView (parts: VerifyParts): ArchiveView {
  return { verify: span => verifyArchive(parts, span), list: span => list(parts, span) }
}

async function * list ({ pool }: VerifyParts, span: VerifySpan): AsyncGenerator<Manifest> {
  for await (const { manifest } of manifestRows(pool, span)) if (manifest !== undefined) yield JSON.parse(manifest) as Manifest
}
