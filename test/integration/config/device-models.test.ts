import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { loadDeviceModels } from '../../../src/config/device-models.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

test('the shipped models load', async () => {
  const models = await loadDeviceModels(fileURLToPath(new URL('../../../mappings/models', import.meta.url)))
  expect([...models.keys()].sort()).toEqual([
    'Example Implants Inc./O2-INDEX-READER-1', 'Example Sensors Inc./TO2-READER-2', 'Fortiori Design LLC/Moxy Monitor',
    'Fortiori Design LLC/Moxy Monitor via VO2 Master', 'Oxbow/SIMULATOR-1', 'Train.Red/FYER'
  ])
})

test('a folder that is not there is named as the problem', async () => {
  const folder = temporaryFolder('models')
  onTestFinished(() => rm(folder, { recursive: true }))
  await expect(loadDeviceModels(join(folder, 'none'))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  await writeFile(join(folder, 'x.json'), '[]')
  await expect(loadDeviceModels(folder)).rejects.toMatchObject({ code: 'MODEL_INVALID', message: expect.stringContaining('x.json: the file: must be object') })
})
