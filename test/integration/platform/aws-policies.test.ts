/** The policies that the docs give: with them everything works, without any one of their rights something does not. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CreateAliasCommand, CreateKeyCommand, KMSClient, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms'
import { CreateBucketCommand, DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type KeyIds, WRAPPING_KEYS } from '../../../src/config/schema.ts'
import { epochMs } from '../../../src/model/units.ts'
import { keyServiceProblems } from '../../../src/platform/keys/kms.ts'
import { openS3Store } from '../../../src/platform/objects/s3.ts'
import { missingMoto } from '../../support/missing-moto.ts'
import { type Moto, MOTO_LOGIN, startMoto } from '../../support/moto.ts'
import { all } from '../../support/object-store.contract.ts'

const missing = missingMoto()
const BUCKET = 'oxbow-archive'
interface Policy { Version: string, Statement: { Effect: string, Action: string | string[], Resource: string }[] }
const readPolicy = (name: string) => JSON.parse(readFileSync(`docs/examples/${name}.json`, 'utf8')) as Policy
const S3_POLICY = readPolicy('s3-policy')
/** Which keys it is about, the server of the tests does not look at, nor at conditions: it knows no resource but all. */
const KMS_POLICY: Policy = { ...readPolicy('kms-policy'), Statement: readPolicy('kms-policy').Statement.map(({ Effect, Action }) => ({ Effect, Action, Resource: '*' })) }
const actionsOf = ({ Statement }: Policy) => Statement.filter(({ Effect }) => Effect === 'Allow').flatMap(({ Action }) => Action)
const without = (policy: Policy, action: string) => JSON.stringify({
  ...policy, Statement: policy.Statement.map(statement => statement.Effect === 'Allow' ? { ...statement, Action: [statement.Action].flat().filter(one => one !== action) } : statement)
})

describe.skipIf(missing !== undefined)(`policies for AWS${missing === undefined ? '' : ` (${missing})`}`, () => {
  let moto: Moto
  let keys: KeyIds

  beforeAll(async () => {
    moto = await startMoto()
    const kms = new KMSClient({ ...MOTO_LOGIN, endpoint: moto.endpoint })
    for (const name of WRAPPING_KEYS) {
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
      await kms.send(new CreateAliasCommand({ AliasName: `alias/oxbow-${name}`, TargetKeyId: KeyMetadata!.KeyId! }))
    }
    keys = Object.fromEntries(WRAPPING_KEYS.map(name => [name, [`alias/oxbow-${name}`]]))
    const s3 = new S3Client({ ...MOTO_LOGIN, endpoint: moto.endpoint, forcePathStyle: true })
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET, ObjectLockEnabledForBucket: true, CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' } }))
    kms.destroy()
    s3.destroy()
  }, 120_000)

  afterEach(() => moto.checkPolicies(false))
  afterAll(() => moto?.stop())

  /** Everything that a deployment does with its bucket. */
  async function useBucket (policy: string): Promise<void> {
    const login = await moto.createLogin(policy)
    await moto.checkPolicies(true)
    const store = await openS3Store({
      settings: { region: MOTO_LOGIN.region, endpoint: moto.endpoint, bucket: BUCKET, isPathStyle: true, objectLock: 'governance', lockDays: 1, ...login }, now: () => epochMs(Date.now())
    })
    const name = `raw/${randomBytes(6).toString('hex')}`
    await store.put(name, randomBytes(9 * 1024 * 1024))
    expect((await store.get(name)).length).toBe(9 * 1024 * 1024)
    expect((await all(store.list('raw/'))).length).toBeGreaterThan(0)
    await store.put(name.replace('raw', 'derived'), Buffer.from('x'))
    await store.remove(name.replace('raw', 'derived'))
  }

  test('with the policy for S3 everything works that a deployment does', () => useBucket(JSON.stringify(S3_POLICY)))

  // The server of the tests looks at no other right: what these are for is as AWS documents it.
  const unchecked = ['s3:GetBucketObjectLockConfiguration', 's3:PutObjectRetention', 's3:AbortMultipartUpload']
  test.each(actionsOf(S3_POLICY).filter(action => !unchecked.includes(action)))('without %s it does not', async action => {
    await expect(useBucket(without(S3_POLICY, action))).rejects.toEqual(expect.objectContaining({ code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/may not do that/) }))
  })

  test('with it nobody removes a raw object, past the seam neither', async () => {
    const s3 = new S3Client({ ...MOTO_LOGIN, credentials: await moto.createLogin(JSON.stringify(S3_POLICY)), endpoint: moto.endpoint, forcePathStyle: true })
    await moto.checkPolicies(true)
    await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'derived/a' }))
    await expect(s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'raw/a' }))).rejects.toThrow(/Access Denied/)
    s3.destroy()
  })

  async function keyProblems (policy: string): Promise<string[]> {
    const login = await moto.createLogin(policy)
    await moto.checkPolicies(true)
    return keyServiceProblems({ region: MOTO_LOGIN.region, endpoint: moto.endpoint, keys, ...login })
  }

  test('with the policy for KMS every key wraps and opens', async () => {
    expect(await keyProblems(JSON.stringify(KMS_POLICY))).toEqual([])
  })

  test.each(actionsOf(KMS_POLICY))('without %s none does', async action => {
    expect(await keyProblems(without(KMS_POLICY, action))).toEqual(WRAPPING_KEYS.map(name => expect.stringMatching(`'${name}': this login may not`)))
  })

  test('with it nobody deletes a key', async () => {
    const kms = new KMSClient({ ...MOTO_LOGIN, credentials: await moto.createLogin(JSON.stringify(KMS_POLICY)), endpoint: moto.endpoint })
    await moto.checkPolicies(true)
    await expect(kms.send(new ScheduleKeyDeletionCommand({ KeyId: 'alias/oxbow-audit', PendingWindowInDays: 7 }))).rejects.toEqual(expect.objectContaining({ $metadata: expect.objectContaining({ httpStatusCode: 403 }) }))
    kms.destroy()
  })
})
