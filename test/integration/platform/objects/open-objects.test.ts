import { existsSync } from 'node:fs'
import { rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { doctorVerb } from '../../../../src/cli/doctor.ts'
import { loadConfig } from '../../../../src/config/load.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { ObjectEntry } from '../../../../src/platform/objects/object-store.ts'
import { openObjects, openObjectReader } from '../../../../src/platform/objects/open-objects.ts'
import { missingMoto } from '../../../support/missing-moto.ts'
import { type Moto, MOTO_LOGIN, startMoto } from '../../../support/moto.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

const missing = missingMoto()
async function all (entries: AsyncIterable<ObjectEntry>): Promise<ObjectEntry[]> {
  const found: ObjectEntry[] = []
  for await (const entry of entries) found.push(entry)
  return found
}
const now = () => epochMs(Date.now())
let folder: string
beforeAll(() => { folder = temporaryFolder('open-objects') })
afterAll(() => rm(folder, { recursive: true, force: true }))

test('without a setting objects stand in the folder', async () => {
  const store = await openObjects(loadConfig({ OXBOW_DATA_DIR: folder }), now)
  await store.put('a', Buffer.from('x'))
  expect([store.kind, (await store.get('a')).toString()]).toEqual(['disk', 'x'])
})

test('what only reads a folder makes, changes and removes nothing', async () => {
  const [none, config] = [loadConfig({ OXBOW_DATA_DIR: join(folder, 'none') }), loadConfig({ OXBOW_DATA_DIR: join(folder, 'read') })]
  const reader = await openObjectReader(none, now)
  await expect(reader.get('raw/a')).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
  expect(await all(reader.list(''))).toEqual([])
  expect(existsSync(join(folder, 'none'))).toBe(false)
  await (await openObjects(config, now)).put('raw/a', Buffer.from('x'))
  const draft = join(folder, 'read', 'archive', '.drafts', 'left')
  await writeFile(draft, 'y')
  await utimes(draft, 0, 0)
  const there = await openObjectReader(config, now)
  expect([(await there.get('raw/a')).toString(), await all(there.list('raw/'))]).toEqual(['x', [{ name: 'raw/a', bytes: 1 }]])
  expect([existsSync(draft), Object.keys(there).sort()]).toEqual([true, ['get', 'kind', 'list']])
})

describe.skipIf(missing !== undefined)(`objects by settings${missing === undefined ? '' : ` (${missing})`}`, () => {
  let moto: Moto
  const env = () => ({
    OXBOW_DATA_DIR: `${folder}/data`, OXBOW_ARCHIVE_STORE: 's3', OXBOW_S3_BUCKET: 'oxbow-archive', OXBOW_S3_REGION: MOTO_LOGIN.region, OXBOW_S3_ENDPOINT: moto.endpoint, OXBOW_S3_PATH_STYLE: 'on',
    OXBOW_S3_ACCESS_KEY_ID: 'test', OXBOW_S3_SECRET_ACCESS_KEY: 'test'
  })

  beforeAll(async () => {
    moto = await startMoto()
    const admin = new S3Client({ ...MOTO_LOGIN, endpoint: moto.endpoint, forcePathStyle: true })
    const place = { CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' } } as const
    await admin.send(new CreateBucketCommand({ Bucket: 'oxbow-archive', ObjectLockEnabledForBucket: true, ...place }))
    await admin.send(new CreateBucketCommand({ Bucket: 'unlocked', ...place }))
    admin.destroy()
  }, 120_000)
  afterAll(() => moto?.stop())

  test('they stand in the bucket that the settings name', async () => {
    const store = await openObjects(loadConfig(env()), now)
    await store.put('raw/a', Buffer.from('x'))
    expect([store.kind, (await store.get('raw/a')).toString()]).toEqual(['s3', 'x'])
  })

  test('what only reads it writes nothing, and asks for no lock', async () => {
    const admin = new S3Client({ ...MOTO_LOGIN, endpoint: moto.endpoint, forcePathStyle: true })
    const versionsOf = async (Bucket: string) => {
      const { Versions = [], DeleteMarkers = [] } = await admin.send(new ListObjectVersionsCommand({ Bucket }))
      return [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => `${Key} ${VersionId}`)
    }
    await (await openObjects(loadConfig(env()), now)).put('raw/read', Buffer.from('x'))
    const before = await versionsOf('oxbow-archive')
    const reader = await openObjectReader(loadConfig(env()), now)
    expect([(await reader.get('raw/read')).toString(), (await all(reader.list('raw/'))).map(({ name }) => name).includes('raw/read')]).toEqual(['x', true])
    expect(await versionsOf('oxbow-archive')).toEqual(before)
    const unlocked = await openObjectReader(loadConfig({ ...env(), OXBOW_S3_BUCKET: 'unlocked' }), now)
    expect(await all(unlocked.list(''))).toEqual([])
    expect(await versionsOf('unlocked')).toEqual([])
    const none = await openObjectReader(loadConfig({ ...env(), OXBOW_S3_BUCKET: 'no-such' }), now)
    await expect(none.get('raw/a')).rejects.toMatchObject({ category: 'unavailable', message: expect.stringMatching(/there is no such bucket/) })
    admin.destroy()
  })

  async function examine (own: Record<string, string>): Promise<{ name: string, verdict: string, message: string } | undefined> {
    const out: string[] = []
    await doctorVerb.run(['--json'], { env: { ...env(), ...own }, stdout: text => { out.push(text) }, stderr: () => {}, now, signal: new AbortController().signal })
    return (JSON.parse(out.join('')) as { checks: { name: string, verdict: string, message: string }[] }).checks.find(({ name }) => name === 'archive bucket')
  }

  test('the doctor asks the bucket, and only where there is one', async () => {
    expect(await examine({})).toMatchObject({ verdict: 'ok', message: 'there, with object lock' })
    expect(await examine({ OXBOW_S3_BUCKET: 'unlocked', OXBOW_S3_OBJECT_LOCK: 'off' })).toMatchObject({ verdict: 'ok', message: 'there, without locks' })
    expect(await examine({ OXBOW_S3_BUCKET: 'unlocked' })).toMatchObject({ verdict: 'wrong', message: expect.stringMatching(/keeps no locks/) })
    expect(await examine({ OXBOW_S3_BUCKET: 'no-such' })).toMatchObject({ verdict: 'wrong', message: expect.stringMatching(/there is no such bucket/) })
    expect(await examine({ OXBOW_ARCHIVE_STORE: 'disk' })).toBeUndefined()
  })
})
