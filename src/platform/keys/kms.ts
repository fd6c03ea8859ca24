/** Key ring on AWS KMS: wrapping keys never leave it; wrapped data keys stand in PostgreSQL as those of the local ring do. */

import { hash } from 'node:crypto'
import { type KeyIds, WRAPPING_KEYS } from '../../config/schema.ts'
import { ServiceError } from '../../model/errors.ts'
import { type AtMost, createAtMost } from '../at-most.ts'
import { clientOptions, reasonOf, type ServiceSettings, unavailable } from '../aws.ts'
import { contextText, type KekName, type KeyRing } from './key-ring.ts'
import { CHECK, createSealedKeyRing, doesNotOpen, type KeyRingOptions, type Wrapping } from './sealed-key-ring.ts'
import { createWrappedKeys } from './wrapped-keys.ts'

export interface KeyServiceSettings extends ServiceSettings {
  /** Every wrapping key has one: `assertMayStart` refuses another configuration. */
  keys: KeyIds
  /** How long one try of a call may take. Default 5 s. */
  answerTimeoutMs?: number
}

type Sdk = typeof import('@aws-sdk/client-kms')

interface Service {
  sdk: Sdk
  client: InstanceType<Sdk['KMSClient']>
  settings: KeyServiceSettings
  atMost: AtMost
}

/** Not that of the local ring: neither takes the other's wrapped keys for damaged ones of its own. */
const FORMAT = 0x02
const HEADER_BYTES = 1 + 4
/** Of this process; KMS counts all calls of an account in a region. */
const CALLS_AT_ONCE_MAX = 32
const ANSWER_TIMEOUT_MS = 5_000

/** @throws ServiceError unavailable STORE_UNAVAILABLE naming each wrapping key that does not serve, and why; incorrect CONFIG_INVALID
 *  when the keys database was wrapped by other keys */
export async function createKmsKeyRing (options: KeyRingOptions & { settings: KeyServiceSettings }): Promise<KeyRing> {
  const wrapping = await openWrapping(options.settings)
  const problems = await problemsOf(wrapping)
  if (problems.length > 0) throw unavailable(`the key service does not serve:\n${problems.map(text => `  ${text}`).join('\n')}`)
  const ring = createSealedKeyRing({ ...options, kind: 'kms', table: createWrappedKeys(options.pool), wrapping })
  await Promise.all(WRAPPING_KEYS.map(kek => assertBelongs(ring, kek)))
  return ring
}

/** What keeps the wrapping keys from serving, by key; nothing is kept of the trial. */
export async function keyServiceProblems (settings: KeyServiceSettings): Promise<string[]> { return problemsOf(await openWrapping(settings)) }

async function problemsOf (wrapping: Wrapping): Promise<string[]> {
  const context = contextText(CHECK)
  const found = await Promise.all(WRAPPING_KEYS.map(async kek => {
    try {
      await wrapping.unwrap(kek, Buffer.from(await wrapping.wrap(kek, Buffer.alloc(32), context)), context)
      return []
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      return [error.message]
    }
  }))
  return found.flat()
}

async function assertBelongs (ring: KeyRing, kek: KekName): Promise<void> {
  try {
    await ring.dek(kek, CHECK)
  } catch (error) {
    if (!isForeign(error)) throw error
    throw new ServiceError('incorrect', 'CONFIG_INVALID', `kms.keys: the keys database was not wrapped by the keys of '${kek}': they are those of another deployment, an alias was pointed to another key, or keys.kind was local`, { cause: error })
  }
}

/** This login has just used the key: what it may not open was wrapped by another. */
function isForeign (error: unknown): boolean {
  return error instanceof ServiceError && (error.code === 'KEY_CONTEXT' || (error.cause instanceof Error && error.cause.name === 'AccessDeniedException'))
}

async function openWrapping (settings: KeyServiceSettings): Promise<Wrapping> {
  const sdk = await import('@aws-sdk/client-kms')
  const service: Service = { sdk, client: new sdk.KMSClient(clientOptions(settings, settings.answerTimeoutMs ?? ANSWER_TIMEOUT_MS)), settings, atMost: createAtMost(CALLS_AT_ONCE_MAX) }
  return {
    wrap: (kek, key, context) => encrypt(service, kek, key, context),
    unwrap: (kek, wrapped, context) => decrypt(service, kek, wrapped, context),
    rewrap: (kek, wrapped, context, toVersion) => reEncrypt(service, { kek, wrapped, context, toVersion })
  }
}

async function encrypt (service: Service, kek: KekName, key: Uint8Array, context: string): Promise<Buffer> {
  const version = service.settings.keys[kek]?.length ?? 0
  const command = new service.sdk.EncryptCommand({ KeyId: keyId(service, kek, version), Plaintext: key, EncryptionContext: encryptionContext(context) })
  const { CiphertextBlob } = await call(service, kek, () => service.client.send(command))
  return wrappedForm(version, CiphertextBlob!)
}

async function decrypt (service: Service, kek: KekName, wrapped: Buffer, context: string): Promise<Uint8Array> {
  const { version, blob } = partsOf(wrapped)
  const command = new service.sdk.DecryptCommand({ KeyId: keyId(service, kek, version), CiphertextBlob: blob, EncryptionContext: encryptionContext(context) })
  const { Plaintext } = await call(service, kek, () => service.client.send(command))
  return Plaintext!
}

/** Inside KMS: the data key does not come out. */
async function reEncrypt (service: Service, { kek, wrapped, context, toVersion }: { kek: KekName, wrapped: Buffer, context: string, toVersion: number }): Promise<Buffer> {
  const { version, blob } = partsOf(wrapped)
  const bound = encryptionContext(context)
  const command = new service.sdk.ReEncryptCommand({
    CiphertextBlob: blob, SourceKeyId: keyId(service, kek, version), SourceEncryptionContext: bound, DestinationKeyId: keyId(service, kek, toVersion), DestinationEncryptionContext: bound
  })
  const { CiphertextBlob } = await call(service, kek, () => service.client.send(command))
  return wrappedForm(toVersion, CiphertextBlob!)
}

/** The pairs of the canonical context. KMS writes them into its log (CloudTrail), so that of the object only the digest is given. */
function encryptionContext (text: string): Record<string, string> {
  const pairs = JSON.parse(text) as Record<'o' | 'p' | 's' | 't', string>
  return { ...pairs, o: hash('sha256', pairs.o, 'base64url') }
}

/** `0x02 ‖ kekVersion uint32be ‖ what KMS gave` */
function wrappedForm (version: number, blob: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = FORMAT
  header.writeUInt32BE(version, 1)
  return Buffer.concat([header, blob])
}

function partsOf (wrapped: Buffer): { version: number, blob: Buffer } {
  if (wrapped[0] !== FORMAT || wrapped.length <= HEADER_BYTES) throw doesNotOpen()
  return { version: wrapped.readUInt32BE(1), blob: wrapped.subarray(HEADER_BYTES) }
}

/** Versions count from 1, as they stand in the list. */
function keyId ({ settings }: Service, kek: KekName, version: number): string {
  const id = settings.keys[kek]?.[version - 1]
  if (id !== undefined) return id
  const lack = version === 0 ? `kms.keys names no key for '${kek}'` : `kms.keys names no version ${version} of the key '${kek}': a list only grows at its end`
  throw new ServiceError('incorrect', 'CONFIG_INVALID', lack)
}

const WORDS: Readonly<Record<string, string>> = {
  AccessDeniedException: 'this login may not use it, or a key was wrapped by one that is not there',
  NotFoundException: 'there is no such key in this region and account',
  DisabledException: 'it is disabled',
  KMSInvalidStateException: 'it is disabled, or about to be deleted',
  InvalidKeyUsageException: 'it is not a symmetric key for encryption',
  LimitExceededException: 'it is asked too often'
}
const NOT_OPENING = new Set(['InvalidCiphertextException', 'IncorrectKeyException'])

/** The client tries a few times before it gives up. */
async function call<T> ({ atMost }: Service, kek: KekName, ask: () => Promise<T>): Promise<T> {
  try {
    return await atMost(ask)
  } catch (error) {
    if (error instanceof Error && NOT_OPENING.has(error.name)) throw doesNotOpen(error)
    throw unavailable(`the key service does not give the use of the key '${kek}': ${reasonOf(error, WORDS)}`, error)
  }
}
