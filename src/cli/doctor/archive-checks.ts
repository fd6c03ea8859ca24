/** The folder of the archive, where it has one, and how far it has come → a finding. */

import type { EpochMs } from '../../model/units.ts'
import { type Check, type Finding, note, ok, wrong } from './check.ts'

export interface ArchiveFolder {
  path: string
  /** Code of the system when it is not there for reading and writing; `missing`: there is none yet. */
  fault (): Promise<string | undefined>
}

export interface ArchiveParts {
  /** `undefined`: objects stand in a bucket, which has a check of its own. */
  folder: ArchiveFolder | undefined
  /** Offset after the last raw record on the bus, by partition. */
  ends (): Promise<ReadonlyMap<number, number>>
  /** Offset of the first raw record that is not archived, by partition. */
  archived (): Promise<ReadonlyMap<number, number>>
  /** When the newest archived record came in. */
  archivedTo (): Promise<EpochMs | undefined>
}

export function archiveCheck (parts: ArchiveParts): Check { return { name: 'archive', run: () => archive(parts) } }

async function archive ({ folder, ends, archived, archivedTo }: ArchiveParts): Promise<Finding> {
  // Asked first: what is archived later only makes fewer wait.
  const next = await archived()
  const fault = await folder?.fault()
  const isUsed = [...next.values()].some(offset => offset > 0)
  if (fault !== undefined && (fault !== 'missing' || isUsed)) {
    return wrong(`${folder!.path} ${fault === 'missing' ? 'is missing' : `cannot be read and written (${fault})`}`, 'bring the folder back, or set archive.folder; until then original bytes wait on the bus')
  }
  const end = await ends()
  const younger = [...next].filter(([partition, offset]) => offset > (end.get(partition) ?? 0)).length
  if (younger > 0) return wrong(`in ${younger} partitions the archive has more than the bus ever had: their databases are not of one time`, 'restore both to one moment')
  const waiting = [...end].reduce((sum, [partition, offset]) => sum + offset - (next.get(partition) ?? 0), 0)
  const to = await archivedTo()
  const words = `${waiting} raw records wait${to === undefined ? '' : `, the newest archived one came in at ${new Date(to).toISOString()}`}`
  return waiting === 0 ? ok(words) : note(words, 'nothing: a running server archives them within archive.sliceTime; look for archive-failed in its log when they grow')
}
