import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import { openEmbeddedBus } from '../../../../../src/platform/bus/embedded/embedded-bus.ts'
import { startCluster } from '../../../../../src/platform/postgres/cluster.ts'
import { migrateStore } from '../../../../../src/platform/postgres/migrate.ts'
import { readPidFile } from '../../../../../src/platform/postgres/postmaster.ts'
import { STORES } from '../../../../../src/platform/postgres/stores.ts'
import { temporaryFolder } from '../../../../support/temporary-folder.ts'

const A = 'test.a.v1'
const B = 'test.b.v1'
const ROUNDS = 4

test('PostgreSQL killed under load loses nothing that was acknowledged, and bus and consumer go on by themselves', async () => {
  const parent = temporaryFolder('bus')
  const dataDir = join(parent, 'data')
  const cluster = await startCluster({ dataDir })
  await migrateStore(cluster.ownerUrl('bus'), STORES.bus)
  const bus = await openEmbeddedBus({ url: cluster.url('bus'), topics: [A, B].map(topic => ({ topic, partitions: 4 })), now: () => epochMs(Date.now()) })
  try {
    const consumer = await bus.consume({ topic: A, partitions: [0, 1, 2, 3], resumeFrom: async () => new Map() })
    const seen: string[] = []
    const next = new Map([[0, 0], [1, 0], [2, 0], [3, 0]])
    const consuming = (async () => {
      for (let batches = await consumer.take(100); batches.length > 0; batches = await consumer.take(100)) {
        for (const { partition, firstOffset, nextOffset, records } of batches) {
          expect(firstOffset).toBe(next.get(partition))
          next.set(partition, nextOffset)
          seen.push(...records.map(({ value }) => Buffer.from(value).toString()))
        }
      }
    })()
    const acknowledged: string[] = []
    let stopped = false
    const publishing = Array.from({ length: 6 }, async (_, publisher) => {
      for (let step = 0; !stopped; step++) {
        const value = Buffer.from(`${publisher}/${step}`)
        const positions = await bus.publish([A, B].map(topic => ({ topic, key: `${publisher}`, value }))).catch(() => undefined)
        if (positions !== undefined) acknowledged.push(value.toString())
        else await new Promise(resolve => { setImmediate(resolve) })
      }
    })
    // Sessions outlive their postmaster for a moment: they may acknowledge enough before the next one is there.
    const killed = new Set<number | undefined>([undefined])
    const postmaster = async () => (await readPidFile(join(dataDir, 'postgres')))?.pid
    for (let round = 0; round < ROUNDS; round++) {
      const before = acknowledged.length
      await expect.poll(() => acknowledged.length, { timeout: 30_000 }).toBeGreaterThan(before + 50)
      await expect.poll(async () => killed.has(await postmaster()), { timeout: 30_000 }).toBe(false)
      const pid = await postmaster()
      killed.add(pid)
      process.kill(pid!, 'SIGKILL')
    }
    const before = acknowledged.length
    await expect.poll(() => acknowledged.length, { timeout: 30_000 }).toBeGreaterThan(before + 50)
    stopped = true
    await Promise.all(publishing)
    await expect.poll(() => acknowledged.every(value => seen.includes(value)), { timeout: 30_000 }).toBe(true)
    await consumer.close()
    await consuming
    // At least once: what failed may be there, but each publish was tried once, so nothing is there twice, on both topics alike.
    expect(new Set(seen).size).toBe(seen.length)
    const other = await bus.consume({ topic: B, partitions: [0, 1, 2, 3], resumeFrom: async () => new Map() })
    const both: string[] = []
    while (both.length < seen.length) for (const { records } of await other.take(1_000)) both.push(...records.map(({ value }) => Buffer.from(value).toString()))
    expect(both.sort()).toEqual(seen.sort())
  } finally {
    await bus.close()
    await cluster.stop()
    await rm(parent, { recursive: true, force: true, maxRetries: 10 })
  }
})
