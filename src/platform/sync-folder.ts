/** A folder whose names must survive a power cut. */

import { open } from 'node:fs/promises'

/** Resolves when the names of the files in `folder` are durable. */
export async function syncFolder (folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
