import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../../../src/config/load.ts'
import { joinStores } from '../../../../src/platform/postgres/open-stores.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

test('where no server runs PostgreSQL, who joins says so and makes nothing', async () => {
  const folder = temporaryFolder('join')
  const dataDir = join(folder, 'data')
  try {
    await expect(joinStores(loadConfig({ OXBOW_DATA_DIR: dataDir }))).rejects.toMatchObject({
      category: 'unavailable', code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/start the server that has it first/)
    })
    expect(existsSync(dataDir)).toBe(false)
  } finally {
    await rm(folder, { recursive: true })
  }
})
