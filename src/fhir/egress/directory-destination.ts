/** A folder as destination: each Bundle a file, its Observations a file of lines (NDJSON) beside it. Whole files or none. */

import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../../platform/sync-folder.ts'
import { BUNDLE_ENTRIES_MAX, type Destination } from './destination.ts'

export interface DirectoryDestinationOptions {
  name: string
  /** Made when missing. Below it `bundles/` and `observations/`. */
  folder: string
  patientSystem?: string
  entriesMax?: number
}

export function createDirectoryDestination ({ name, folder, patientSystem, entriesMax }: DirectoryDestinationOptions): Destination {
  return {
    name,
    patientSystem,
    form: 'transaction',
    entriesMax: entriesMax ?? BUNDLE_ENTRIES_MAX,
    async send (bundle) {
      try {
        const bundles = join(folder, 'bundles')
        const observations = join(folder, 'observations')
        await mkdir(bundles, { recursive: true })
        await mkdir(observations, { recursive: true })
        await writeWhole(observations, `${bundle.name}.ndjson`, bundle.observations().map(line => `${line}\n`).join(''))
        await writeWhole(bundles, `${bundle.name}.json`, bundle.text)
        return { outcome: 'delivered' }
      } catch (error) {
        return { outcome: 'retry', reason: error instanceof Error && 'code' in error ? String(error.code) : 'WRITE' }
      }
    },
    // A file of the same name takes the place of an earlier one: writing again is always safe.
    holds: async () => false
  }
}

/** Readers see the file complete or not at all, also after a crash. */
async function writeWhole (folder: string, name: string, text: string): Promise<void> {
  const temporary = join(folder, `.${name}.part`)
  const file = await open(temporary, 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await rename(temporary, join(folder, name))
  await syncFolder(folder)
}
