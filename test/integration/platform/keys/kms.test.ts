import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type KeyIds, WRAPPING_KEYS } from '../../../../src/config/schema.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { KekName, KeyRing } from '../../../../src/platform/keys/key-ring.ts'
import { createKmsKeyRing, type KeyServiceSettings, keyServiceProblems } from '../../../../src/platform/keys/kms.ts'
import { createDataKeys } from '../../../../src/security/data-keys.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { keyRingContract } from '../../../support/key-ring.contract.ts'
import { missingMoto } from '../../../support/missing-moto.ts'
import { type Moto, MOTO_LOGIN, startMoto } from '../../../support/moto.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

const missing = missingMoto()
const now = () => epochMs(Date.UTC(2026, 1, 3, 4, 5, 6))
const context = { store: 'archive', object: 's1000000000000000000000000000', purpose: 'raw' }
const AWS_JSON = 'application/x-amz-json-1.1'
const failing = (code: string, message?: RegExp) => expect.objectContaining({ name: 'ServiceError', code, ...(message === undefined ? {} : { message: expect.stringMatching(message) }) })

describe.skipIf(missing !== undefined)(`key ring on KMS${missing === undefined ? '' : ` (${missing})`}`, () => {
  let moto: Moto
  let admin: KMSClient
  let database: TestDatabase
  let keys: KeyIds
  let ring: KeyRing

  const settings = (own: Partial<KeyServiceSettings> = {}): KeyServiceSettings => ({ region: MOTO_LOGIN.region, endpoint: moto.endpoint, accessKeyId: 'test', secretAccessKey: 'test', keys, ...own })
  const openRing = (own: Partial<KeyServiceSettings> = {}, pool = database.pool) => createKmsKeyRing({ settings: settings(own), pool, now })
  const newKey = async () => (await admin.send(new CreateKeyCommand({}))).KeyMetadata!.KeyId!

  beforeAll(async () => {
    moto = await startMoto()
    admin = new KMSClient({ ...MOTO_LOGIN, endpoint: moto.endpoint })
    database = await testDatabase('keys')
    keys = Object.fromEntries(await Promise.all(WRAPPING_KEYS.map(async name => {
      await admin.send(new CreateAliasCommand({ AliasName: `alias/oxbow-${name}`, TargetKeyId: await newKey() }))
      return [name, [`alias/oxbow-${name}`]]
    })))
    ring = await openRing()
  }, 120_000)

  afterAll(async () => {
    admin?.destroy()
    await moto?.stop()
    await database?.drop()
  })

  async function wrappedForm (id: string): Promise<Buffer | undefined> {
    const { rows } = await database.owner.query<{ wrapped: Buffer | null }>('SELECT wrapped FROM keys.wrapped_key WHERE id = $1', [id])
    return rows[0]?.wrapped ?? undefined
  }

  async function addKekVersion (kek: KekName): Promise<number> {
    keys = { ...keys, [kek]: [...keys[kek]!, await newKey()] }
    return keys[kek]!.length
  }

  const forward: Handle = async (body, { headers }) => {
    const answer = await fetch(moto.endpoint, { method: 'POST', body, headers: { 'x-amz-target': String(headers['x-amz-target']), 'content-type': AWS_JSON, authorization: String(headers.authorization) } })
    return { status: answer.status, text: await answer.text() }
  }

  keyRingContract(() => ({ ring, openAnother: () => openRing(), addKekVersion, wrappedForm }))

  test('the wrapped form is 0x02, version of the kek, and what KMS gave', async () => {
    const newest = await addKekVersion('release')
    const { id } = await (await openRing()).newDek('release', context)
    const wrapped = (await wrappedForm(id))!
    expect([wrapped[0], wrapped.readUInt32BE(1)]).toEqual([2, newest])
  })

  test('a changed byte of the wrapped form does not open', async () => {
    const { id } = await ring.newDek('archive', context)
    const wrapped = (await wrappedForm(id))!
    for (const place of [0, wrapped.length - 1]) {
      const changed = Buffer.from(wrapped)
      changed[place]! ^= 1
      await database.owner.query('UPDATE keys.wrapped_key SET wrapped = $2 WHERE id = $1', [id, changed])
      await expect(ring.unwrap(id, context)).rejects.toEqual(failing('KEY_CONTEXT'))
    }
  })

  test('a version that the settings do not name is refused', async () => {
    const { id } = await ring.newDek('archive', context)
    await expect(ring.rewrap(id, 4_000)).rejects.toEqual(failing('CONFIG_INVALID', /no version 4000 of the key 'archive'/))
  })

  test('after destroy both nodes refuse the key once their memory of it has ended', async () => {
    const clock = { time: now() as number }
    const nodes = [ring, await openRing()].map(keyRing => createDataKeys({ keyRing, now: () => epochMs(clock.time), ttlMs: 300_000 }))
    const sid = drawSid()
    for (const node of nodes) await node.forSid(sid)
    const { id } = await ring.dek('archive', { store: 'archive', object: sid, purpose: 'data-key' })
    await ring.destroy(id, 'erasure')
    clock.time += 300_001
    for (const node of nodes) await expect((async () => node.forSid(sid))()).rejects.toEqual(failing('KEY_DESTROYED'))
  })

  test('KMS is told the store and the purpose, and of the object only its digest', async () => {
    const asked: string[] = []
    const proxy = await listen(async (body, request) => {
      asked.push(body)
      return forward(body, request)
    })
    try {
      const object = drawSid()
      const through = await openRing({ endpoint: proxy.url })
      asked.length = 0
      const { id, key } = await through.newDek('archive', { ...context, object })
      expect(Buffer.from(await through.unwrap(id, { ...context, object })).equals(key)).toBe(true)
      expect(asked.length).toBe(2)
      for (const text of asked) {
        expect((JSON.parse(text) as { EncryptionContext: object }).EncryptionContext).toEqual({ s: 'archive', p: 'raw', t: 'default', o: expect.stringMatching(/^[\w-]{43}$/) })
        expect(text).not.toContain(object)
      }
    } finally {
      proxy.close()
    }
  })

  test('a start names every key that does not serve, and why', async () => {
    const wrong = { ...keys, archive: [randomUUID()], delivery: ['alias/no-such'] }
    const refused = await openRing({ keys: wrong }).catch((thrown: unknown) => thrown as Error) as Error
    expect(refused).toEqual(failing('STORE_UNAVAILABLE'))
    expect(refused.message).toMatch(/'archive': there is no such key.*'delivery': there is no such key/s)
    expect(refused.message).not.toMatch(/linkage|audit|quarantine|release|no-such/)
    expect(await keyServiceProblems(settings({ keys: wrong }))).toHaveLength(2)
    expect(await keyServiceProblems(settings({ keys: {} }))).toEqual(WRAPPING_KEYS.map(name => `kms.keys names no key for '${name}'`))
    expect(await keyServiceProblems(settings())).toEqual([])
  })

  test('the keys of another deployment do not belong to the database', async () => {
    const others = { ...keys, quarantine: [await newKey()] }
    await expect(openRing({ keys: others })).rejects.toEqual(failing('CONFIG_INVALID', /was not wrapped by the keys of 'quarantine'/))
  })

  test('nothing at the address is unavailable, in words', async () => {
    await expect(openRing({ endpoint: 'http://127.0.0.1:1' })).rejects.toEqual(failing('STORE_UNAVAILABLE', /nothing listens there/))
  })

  test('a key service that stands still is waited for so long and no longer, and used again when it goes on', async () => {
    const used = await openRing({ answerTimeoutMs: 1_000 })
    const { id, key } = await used.newDek('archive', context)
    moto.freeze()
    try {
      await expect(used.unwrap(id, context)).rejects.toEqual(failing('STORE_UNAVAILABLE', /'archive': no answer/))
    } finally {
      moto.thaw()
    }
    expect(Buffer.from(await used.unwrap(id, context)).equals(key)).toBe(true)
  })

  // What this server does not answer as AWS documents it: a disabled key, one about to be deleted and one that signs go on encrypting, nobody is throttled.
  test.each([
    ['DisabledException', 'STORE_UNAVAILABLE', /it is disabled/, 1],
    ['KMSInvalidStateException', 'STORE_UNAVAILABLE', /about to be deleted/, 1],
    ['InvalidKeyUsageException', 'STORE_UNAVAILABLE', /not a symmetric key/, 1],
    ['AccessDeniedException', 'STORE_UNAVAILABLE', /may not use it/, 1],
    ['UnrecognizedClientException', 'STORE_UNAVAILABLE', /credentials are not accepted/, 1],
    ['ThrottlingException', 'STORE_UNAVAILABLE', /asked too often/, 3],
    ['InvalidCiphertextException', 'KEY_CONTEXT', /does not open/, 1],
    ['IncorrectKeyException', 'KEY_CONTEXT', /does not open/, 1]
  ])('%s is %s', async (type, code, words, tries) => {
    const { id } = await (await openRing()).newDek('archive', context)
    let isRefusing = false
    let calls = 0
    const service = await listen(async (body, request) => {
      if (isRefusing) {
        calls++
        return { status: 400, text: JSON.stringify({ __type: type, message: 'arn:aws:kms:canary' }) }
      }
      return forward(body, request)
    })
    try {
      const used = await openRing({ endpoint: service.url })
      isRefusing = true
      const error = await used.unwrap(id, context).catch((thrown: unknown) => thrown as Error) as Error
      expect(error).toEqual(failing(code, words))
      expect(error.message).not.toContain('canary')
      expect(calls).toBe(tries)
    } finally {
      service.close()
    }
  })
})

type Handle = (body: string, request: IncomingMessage) => Promise<{ status: number, text: string }>

async function listen (handle: Handle): Promise<{ url: string, close (): void }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => { chunks.push(chunk) }).on('end', () => {
      handle(Buffer.concat(chunks).toString(), request).then(({ status, text }) => { response.writeHead(status, { 'content-type': AWS_JSON }).end(text) }, () => { response.destroy() })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => { server.closeAllConnections(); server.close() } }
}
