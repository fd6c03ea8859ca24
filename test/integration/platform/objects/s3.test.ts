import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request as send, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, GetObjectRetentionCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectVersionsCommand, PutObjectCommand, PutObjectRetentionCommand, S3Client
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import type { ObjectStore } from '../../../../src/platform/objects/object-store.ts'
import { bucketProblems, openS3Store, type S3Settings } from '../../../../src/platform/objects/s3.ts'
import { compositeOf } from '../../../../src/platform/objects/s3-write.ts'
import { missingMoto } from '../../../support/missing-moto.ts'
import { type Moto, MOTO_LOGIN, startMoto } from '../../../support/moto.ts'
import { all, objectStoreContract } from '../../../support/object-store.contract.ts'

const missing = missingMoto()
/** The server judges locks by its own clock. */
const NOW = epochMs(Date.now())
const DAY_MS = 86_400_000
const MIB = 1024 * 1024
const failing = (code: string, message?: RegExp) => expect.objectContaining({ name: 'ServiceError', code, ...(message === undefined ? {} : { message: expect.stringMatching(message) }) })

describe.skipIf(missing !== undefined)(`objects on S3${missing === undefined ? '' : ` (${missing})`}`, () => {
  let moto: Moto
  let admin: S3Client
  let store: ObjectStore

  const settings = (own: Partial<S3Settings> = {}): S3Settings => ({
    region: MOTO_LOGIN.region, endpoint: moto.endpoint, accessKeyId: 'test', secretAccessKey: 'test', bucket: 'locked', isPathStyle: true, objectLock: 'governance', lockDays: 30, ...own
  })
  const openStore = (own: Partial<S3Settings> = {}) => openS3Store({ settings: settings(own), now: () => NOW })

  beforeAll(async () => {
    moto = await startMoto()
    admin = new S3Client({ ...MOTO_LOGIN, endpoint: moto.endpoint, forcePathStyle: true })
    const place = { CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' } } as const
    await admin.send(new CreateBucketCommand({ Bucket: 'locked', ObjectLockEnabledForBucket: true, ...place }))
    await admin.send(new CreateBucketCommand({ Bucket: 'plain', ...place }))
    store = await openStore()
  }, 120_000)

  afterAll(async () => {
    admin?.destroy()
    await moto?.stop()
  })

  const closing: (() => void)[] = []
  afterEach(() => { for (const close of closing.splice(0)) close() })

  /** The store behind a proxy that does as told with each request. */
  async function through (handle: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void): Promise<string> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => { chunks.push(chunk) }).on('end', () => { handle(request, response, Buffer.concat(chunks)) })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => { server.closeAllConnections(); server.close() })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** @param answer given the whole answer of the store; default: it is passed on */
  function forward (request: IncomingMessage, response: ServerResponse, body: Buffer, answer = (bytes: Buffer, from: IncomingMessage) => {
    response.writeHead(from.statusCode!, from.headers).end(bytes)
  }): void {
    const url = new URL(request.url!, moto.endpoint)
    send(url, { method: request.method!, headers: request.headers }, from => {
      const chunks: Buffer[] = []
      from.on('data', (chunk: Buffer) => { chunks.push(chunk) }).on('end', () => { answer(Buffer.concat(chunks), from) })
    }).end(body)
  }

  describe('the contract', () => {
    objectStoreContract(() => ({ store, openAnother: () => openStore() }))
  })

  describe('the contract, in a bucket without locks', () => {
    let plain: ObjectStore
    const openPlain = () => openStore({ bucket: 'plain', objectLock: 'off' })
    beforeAll(async () => { plain = await openPlain() })
    objectStoreContract(() => ({ store: plain, openAnother: openPlain }))
  })

  test.each(['governance', 'compliance'] as const)('a raw object is locked by %s for the days of the settings, and nothing else is', async objectLock => {
    const locking = await openStore({ objectLock })
    const id = randomBytes(6).toString('hex')
    await locking.put(`raw/${id}`, Buffer.from('kept'))
    const { ObjectLockMode, ObjectLockRetainUntilDate, VersionId } = await admin.send(new HeadObjectCommand({ Bucket: 'locked', Key: `raw/${id}` }))
    expect(ObjectLockMode).toBe(objectLock.toUpperCase())
    // S3 may keep whole seconds.
    expect(Math.abs(ObjectLockRetainUntilDate!.getTime() - NOW - 30 * DAY_MS)).toBeLessThan(1_000)
    await expect(admin.send(new DeleteObjectCommand({ Bucket: 'locked', Key: `raw/${id}`, VersionId: VersionId! }))).rejects.toThrow(/Access Denied/)
    expect((await locking.get(`raw/${id}`)).toString()).toBe('kept')
    await locking.put(`derived/${id}`, Buffer.from('x'))
    expect((await admin.send(new HeadObjectCommand({ Bucket: 'locked', Key: `derived/${id}` }))).ObjectLockMode).toBeUndefined()
  })

  // The server of the tests takes the lock of an upload in parts and forgets it: shown is what it is told.
  test('the lock of an object in parts is asked for where the upload begins', async () => {
    const asked: IncomingMessage[] = []
    const endpoint = await through((request, response, body) => {
      if (request.method === 'POST' && /\?uploads/.test(request.url!)) asked.push(request)
      forward(request, response, body)
    })
    const id = randomBytes(6).toString('hex')
    const locking = await openStore({ endpoint })
    await locking.put(`raw/${id}`, randomBytes(9 * MIB))
    await locking.put(`derived/${id}`, randomBytes(9 * MIB))
    const locks = asked.map(({ headers }) => [headers['x-amz-object-lock-mode'], headers['x-amz-object-lock-retain-until-date']])
    expect(locks).toEqual([['GOVERNANCE', new Date(NOW + 30 * DAY_MS).toISOString()], [undefined, undefined]])
  })

  // AWS refuses the one and answers the other. So no test here shows that a lock by compliance holds against an administrator.
  test('what the server of the tests gets wrong: a lock by compliance is shortened, and a retention cannot be read alone', async () => {
    const object = { Bucket: 'locked', Key: `raw/${randomBytes(6).toString('hex')}` }
    await (await openStore({ objectLock: 'compliance' })).put(object.Key, Buffer.from('x'))
    await admin.send(new PutObjectRetentionCommand({ ...object, Retention: { Mode: 'COMPLIANCE', RetainUntilDate: new Date(NOW + DAY_MS) } }))
    const { ObjectLockRetainUntilDate } = await admin.send(new HeadObjectCommand(object))
    expect(ObjectLockRetainUntilDate!.getTime()).toBeLessThan(NOW + 2 * DAY_MS)
    await expect(admin.send(new GetObjectRetentionCommand(object))).rejects.toThrow()
  })

  test('checksums are sent for the whole, or for each part and of all parts, and kept by the store', async () => {
    const id = randomBytes(6).toString('hex')
    const bytes = randomBytes(17 * MIB)
    await store.put(`sums/${id}/large`, bytes)
    await store.put(`sums/${id}/small`, bytes.subarray(0, 1_000))
    const sumOf = async (name: string) => {
      const { Body, ChecksumSHA256 } = await admin.send(new GetObjectCommand({ Bucket: 'locked', Key: name, ChecksumMode: 'ENABLED' }))
      await Body!.transformToByteArray()
      return ChecksumSHA256
    }
    expect(await sumOf(`sums/${id}/large`)).toBe(compositeOf(bytes))
    expect(compositeOf(bytes)).toMatch(/-3$/)
    expect(await sumOf(`sums/${id}/small`)).toMatch(/^[A-Za-z0-9+/]{43}=$/)
  })

  test.each([['whole', 100], ['in parts', 9 * MIB]])('a byte that changes on the way back is noticed (%s)', async (_how, length) => {
    const name = `sums/${randomBytes(6).toString('hex')}`
    const bytes = randomBytes(length)
    await store.put(name, bytes)
    const endpoint = await through((request, response, body) => {
      forward(request, response, body, (answer, from) => {
        if (request.method === 'GET' && answer.length === length) answer[length - 1]! ^= 1
        response.writeHead(from.statusCode!, from.headers).end(answer)
      })
    })
    await expect((await openStore({ endpoint })).get(name)).rejects.toEqual(failing('STORE_UNAVAILABLE', /what arrived is not what is stored/))
    expect((await store.get(name)).equals(bytes)).toBe(true)
  })

  test('a byte that somebody changed in the store is given out as it stands: whoever knows its SHA-256 finds it', async () => {
    const name = `raw/${randomBytes(6).toString('hex')}`
    await store.put(name, Buffer.from('as it came'))
    await admin.send(new PutObjectCommand({ Bucket: 'locked', Key: name, Body: 'As it came' }))
    expect((await store.get(name)).toString()).toBe('As it came')
    const { Versions } = await admin.send(new ListObjectVersionsCommand({ Bucket: 'locked', Prefix: name }))
    expect(Versions).toHaveLength(2)
  })

  test.each([['whole', 100, 'PUT', /\?x-id=PutObject$/], ['in parts', 9 * MIB, 'POST', /uploadId=/]])('a put whose answer was lost is tried again and knows its own object (%s)', async (_how, length, method, path) => {
    const name = `lost/${randomBytes(6).toString('hex')}`
    let lost = 0
    const endpoint = await through((request, response, body) => {
      forward(request, response, body, (answer, from) => {
        if (request.method === method && path.test(request.url!) && request.url!.includes(name) && lost++ === 0) response.destroy()
        else response.writeHead(from.statusCode!, from.headers).end(answer)
      })
    })
    const bytes = randomBytes(length)
    await (await openStore({ endpoint })).put(name, bytes)
    expect(lost).toBe(2)
    expect((await store.get(name)).equals(bytes)).toBe(true)
  })

  test('a put whose answer was lost while another one had the name is refused', async () => {
    const name = `lost/${randomBytes(6).toString('hex')}`
    await store.put(name, Buffer.from('another'))
    let lost = 0
    const endpoint = await through((request, response, body) => {
      forward(request, response, body, (answer, from) => {
        if (request.method === 'PUT' && request.url!.includes(name) && lost++ === 0) response.destroy()
        else response.writeHead(from.statusCode!, from.headers).end(answer)
      })
    })
    await expect((await openStore({ endpoint })).put(name, Buffer.from('ours'))).rejects.toEqual(failing('OBJECT_EXISTS'))
    expect((await store.get(name)).toString()).toBe('another')
  })

  test('an object that another one is just writing is sent again, and given up after some rounds', async () => {
    const name = `race/${randomBytes(6).toString('hex')}`
    let conflicts = 2
    const endpoint = await through((request, response, body) => {
      if (request.method === 'PUT' && request.url!.includes(name) && conflicts-- > 0) response.writeHead(409).end('<Error><Code>ConditionalRequestConflict</Code></Error>')
      else forward(request, response, body)
    })
    const contended = await openStore({ endpoint })
    await contended.put(name, Buffer.from('x'))
    expect((await store.get(name)).toString()).toBe('x')
    conflicts = 1_000
    await expect(contended.put(`${name}-b`, Buffer.from('x'))).rejects.toEqual(failing('STORE_UNAVAILABLE', /others go on writing/))
  })

  test('an upload in parts that failed leaves no object and no parts', async () => {
    const name = `parts/${randomBytes(6).toString('hex')}`
    const endpoint = await through((request, response, body) => {
      if (/partNumber=2/.test(request.url!)) response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
      else forward(request, response, body)
    })
    await expect((await openStore({ endpoint })).put(name, randomBytes(17 * MIB))).rejects.toEqual(failing('STORE_UNAVAILABLE', /may not do that/))
    await expect(store.get(name)).rejects.toEqual(failing('OBJECT_MISSING'))
    expect((await admin.send(new ListMultipartUploadsCommand({ Bucket: 'locked' }))).Uploads ?? []).toEqual([])
  })

  test('an object that somebody made larger than any of ours is not read', async () => {
    const name = `large/${randomBytes(6).toString('hex')}`
    await store.put(name, Buffer.from('x'))
    const endpoint = await through((request, response, body) => {
      if (request.method === 'GET' && request.url!.includes(name)) response.writeHead(200, { 'content-length': String(134_217_729) }).write('x')
      else forward(request, response, body)
    })
    await expect((await openStore({ endpoint })).get(name)).rejects.toEqual(failing('OBJECT_TOO_LARGE'))
  })

  test('a body that stands still is waited for so long and no longer', async () => {
    const name = `slow/${randomBytes(6).toString('hex')}`
    await store.put(name, Buffer.from('whole'))
    const endpoint = await through((request, response, body) => {
      if (request.method === 'GET' && request.url!.includes(name)) response.writeHead(200, { 'content-length': '5' }).write('w')
      else forward(request, response, body)
    })
    await expect((await openStore({ endpoint, answerTimeoutMs: 1_000 })).get(name)).rejects.toEqual(failing('STORE_UNAVAILABLE'))
  })

  test('a store that replaces objects in spite of the condition is refused at the start', async () => {
    const endpoint = await through((request, response, body) => {
      delete request.headers['if-none-match']
      forward(request, response, body)
    })
    await expect(openStore({ endpoint })).rejects.toEqual(failing('CONFIG_INVALID', /replaces an object where it is told not to/))
  })

  test('the start leaves no object behind, and asking for problems writes none', async () => {
    await openStore()
    expect(await bucketProblems(settings(), () => NOW)).toEqual([])
    expect(await all(store.list('probe/'))).toEqual([])
  })

  test('what is missing is said in words: the bucket, its locks, the service', async () => {
    await expect(openStore({ bucket: 'canary' })).rejects.toEqual(failing('STORE_UNAVAILABLE', /^the bucket of the archive cannot be read or written: there is no such bucket$/))
    await expect(openStore({ bucket: 'plain' })).rejects.toEqual(failing('CONFIG_INVALID', /s3\.objectLock is governance and the bucket keeps no locks/))
    await expect(openStore({ endpoint: 'http://127.0.0.1:1' })).rejects.toEqual(failing('STORE_UNAVAILABLE', /nothing listens there/))
    expect(await bucketProblems(settings({ bucket: 'plain', objectLock: 'compliance' }), () => NOW)).toEqual([expect.stringMatching(/keeps no locks/)])
  })

  test('a folder that some tool made is no object', async () => {
    const folder = `tools/${randomBytes(6).toString('hex')}/`
    await admin.send(new PutObjectCommand({ Bucket: 'locked', Key: folder, Body: Buffer.alloc(0) }))
    await store.put(`${folder}a`, Buffer.from('x'))
    expect(await all(store.list(folder))).toEqual([{ name: `${folder}a`, bytes: 1 }])
  })
})
