/** Device ↔ blind index of its telemetry identifier (privacy.md §4.3): how a reading finds its device. */

import type { Database } from './resource.ts'

/** One index of the same name for each key version in use. */
export interface BlindIndexEntry { ver: number, bi: Uint8Array }

/** Takes the place of what the device had. @throws the database's 23505 when another device has the name, in any spelling */
export async function putDeviceName (client: Database, device: string, entries: readonly BlindIndexEntry[]): Promise<void> {
  await client.query('delete from linkage.blind_index where device = $1', [device])
  for (const { ver, bi } of entries) {
    await client.query('insert into linkage.blind_index (ver, bi, device) values ($1, $2, $3)', [ver, Buffer.from(bi), device])
  }
}
