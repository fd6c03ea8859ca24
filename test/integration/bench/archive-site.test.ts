/** What the bench of the archive measures: everything that came in stands in it, and an archive with one wrong byte gives no figure. */

import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ArchiveSite, openArchiveSite } from '../../bench/archive-site.ts'
import { createBodies } from '../../bench/load/archive-bodies.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder: string
let site: ArchiveSite

beforeAll(async () => {
  folder = temporaryFolder('bench-archive')
  await chmod(folder, 0o755)
  site = await openArchiveSite(join(folder, 'data'))
})

afterAll(async () => {
  await site?.close()
  await rm(folder, { recursive: true, force: true })
})

test('what came in through the door is archived, round after round, and every reading of it opens', async () => {
  const next = createBodies({ devices: 20, devicesPerPost: 10, readingsPerDevice: 10, startAt: Date.now() - 3_600_000 })
  for (const round of [1, 2]) {
    await site.fill(next(1_000))
    const { seconds, cpuUs } = await site.archive()
    expect(seconds).toBeGreaterThan(0)
    expect(cpuUs.writer).toBeGreaterThan(0)
    expect((await site.stored()).readings).toBe(round * 1_000)
  }
})

test('a request that the door does not take whole is no load', async () => {
  await expect(site.fill([Buffer.from('[{"deviceId":"bench-000001"}]')])).rejects.toThrow('the door took 0 of 1 readings')
})

test('an archive with one wrong byte is a wrong result', async () => {
  const archive = join(folder, 'data', 'archive')
  const [object] = (await readdir(archive, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  const path = join(object!.parentPath, object!.name)
  const bytes = await readFile(path)
  bytes[bytes.length - 1]! ^= 1
  await chmod(path, 0o600)
  await writeFile(path, bytes)
  await expect(site.stored()).rejects.toThrow('the archive does not verify')
})
