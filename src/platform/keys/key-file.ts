/** The key file of the local key ring: takes its text, gives wrapping and signing keys by name and version. */

import { createPrivateKey, createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import type { KekName, SignKeyName } from './key-ring.ts'
import { createPrivateFile, keyFileError, readPrivateFile, replacePrivateFile } from './private-file.ts'
import { type Config, WRAPPING_KEYS } from '../../config/schema.ts'

const SIGN_KEYS: readonly SignKeyName[] = ['log-sign', 'export-sign']
const KEK_BYTES = 32
const FORMAT = 1

type Versions = Record<string, string>
interface FileForm { v: number, keks: Record<string, Versions>, signing: Record<string, Versions> }

export interface Kek { version: number, key: KeyObject }

export interface KeyFile {
  /** The version that wraps. */
  newestKek (name: KekName): Kek
  /** @throws ServiceError KEY_FILE when the file has no such version */
  kek (name: KekName, version: number): Kek
  signKey (name: SignKeyName): KeyObject
}

/** Where the key file stands. @param file as configured; `''` is beside the data directory, so that a copy of the data holds no keys */
export function keyFileOf (config: Pick<Config, 'dataDir' | 'keys.file'>): string { return config['keys.file'] || `${config.dataDir}-keys.json` }

/** @param mayCreate asked when the file is missing; false refuses. @throws ServiceError KEY_FILE */
export async function openKeyFile (path: string, mayCreate: () => Promise<boolean>): Promise<KeyFile> {
  const found = await readPrivateFile(path)
  if (found !== undefined) return parseKeyFile(found)
  if (await mayCreate()) return parseKeyFile(await createPrivateFile(path, print(newForm())))
  // Another process may have made it, and the first key with it, since we looked.
  const made = await readPrivateFile(path)
  if (made === undefined) throw keyFileError('the key file is missing, but the keys database holds keys wrapped by it: restore the file')
  return parseKeyFile(made)
}

/** Adds a version to a wrapping key, which wraps from the next start on; gives its number. @throws ServiceError KEY_FILE */
export async function addKekVersion (path: string, name: KekName): Promise<number> {
  const text = await readPrivateFile(path)
  if (text === undefined) throw keyFileError('the key file is missing')
  const form = parseForm(text)
  const version = newest(form.keks[name]!) + 1
  form.keks[name]![version] = randomBytes(KEK_BYTES).toString('base64url')
  await replacePrivateFile(path, print(form))
  return version
}

function parseKeyFile (text: string): KeyFile {
  const form = parseForm(text)
  const keks = new Map<string, KeyObject>()
  for (const name of WRAPPING_KEYS) {
    for (const [version, key] of Object.entries(form.keks[name]!)) keks.set(`${name}/${version}`, secretKey(key))
  }
  const signing = new Map(SIGN_KEYS.map(name => [name, signingKey(form.signing[name]![newest(form.signing[name]!)]!)]))
  const kek = (name: KekName, version: number) => {
    const key = keks.get(`${name}/${version}`)
    if (key === undefined) throw keyFileError(`the key file holds no version ${version} of the wrapping key '${name}'`)
    return { version, key }
  }
  return { kek, newestKek: name => kek(name, newest(form.keks[name]!)), signKey: name => signing.get(name)! }
}

function parseForm (text: string): FileForm {
  const form = parseJson(text) as Partial<FileForm> | null
  if (form?.v !== FORMAT) throw keyFileError('the key file is not a key file of this version')
  for (const name of WRAPPING_KEYS) assertVersions(name, form.keks?.[name])
  for (const name of SIGN_KEYS) assertVersions(name, form.signing?.[name])
  return form as FileForm
}

function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The syntax error quotes the text, which is a key.
    throw keyFileError('the key file is not JSON')
  }
}

function assertVersions (name: string, versions: unknown): asserts versions is Versions {
  const entries = typeof versions === 'object' && versions !== null ? Object.entries(versions) : []
  const sound = entries.every(([version, key]) => /^[1-9]\d{0,8}$/.test(version) && typeof key === 'string')
  if (entries.length === 0 || !sound) throw keyFileError(`the key file lacks the key '${name}'`)
}

function secretKey (text: string): KeyObject {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== KEK_BYTES) throw keyFileError('a wrapping key in the key file is damaged')
  return createSecretKey(bytes)
}

function signingKey (text: string): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(text, 'base64url'), format: 'der', type: 'pkcs8' })
  } catch {
    throw keyFileError('a signing key in the key file is damaged')
  }
}

function newForm (): FileForm {
  const kek = () => ({ 1: randomBytes(KEK_BYTES).toString('base64url') })
  const signing = () => ({ 1: generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64url') })
  return {
    v: FORMAT,
    keks: Object.fromEntries(WRAPPING_KEYS.map(name => [name, kek()])),
    signing: Object.fromEntries(SIGN_KEYS.map(name => [name, signing()]))
  }
}

function newest (versions: Versions): number { return Math.max(...Object.keys(versions).map(Number)) }
function print (form: FileForm): string { return `${JSON.stringify(form, null, 2)}\n` }
