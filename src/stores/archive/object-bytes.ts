/** An object of the archive as bytes. Big-endian:
 *  `OXBOWRAW` · 0x01 · length u32 of the sealed directory · length u48 of all frames · sealed directory · frames, one behind the other.
 *  A sealed part (`security/envelope.ts`) is bound to the name of its object and its place there; in clear it is
 *  0x00 · bytes, or 0x01 · the same compressed with zstd. The directory is JSON; a frame is, for each record of the topic,
 *  offset u48 · length u32 of the head · length u32 of the originals · head of its raw frame (`ingest/raw-frame.ts`) · originals. */

import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompress } from 'node:zlib'
import { decodeRawFrame, type RawFrame } from '../../ingest/raw-frame.ts'
import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import type { KeyContext } from '../../platform/keys/key-ring.ts'
import { open, type SealingKey, seal } from '../../security/envelope.ts'
import type { Facts } from './manifest.ts'

const MAGIC = Buffer.from('OXBOWRAW')
const FORMAT = 0x01
export const HEAD_BYTES = MAGIC.length + 1 + 4 + 6
const STORED = 0x00
const ZSTD = 0x01
/** Less than this is not worth a compressor of its own. */
const COMPRESSED_FROM_BYTES = 512
/** From here on compressing is left to another thread; for less, going there costs several times the work. */
const ASIDE_FROM_BYTES = 65_536
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 3 } }
/** What a sealed part may hold in clear; more is not unpacked. A slice is at most 64 MiB and a record of 16 MiB. */
const CLEAR_BYTES_MAX = 134_217_728
const PARCEL_BYTES = 6 + 4 + 4

/** One record of the topic in the directory: offset, whether it was released from quarantine (1) or not (0), count of originals, then for each run of
 *  places the index of its origin, the first place and the count. */
export type Parcel = readonly number[]

export interface FrameEntry {
  sid: Sid
  /** Id of the key of its sid. */
  key: string
  /** Its place among the frames: offset behind the directory, and length. */
  at: number
  length: number
  parcels: readonly Parcel[]
}

export interface Directory extends Facts {
  frames: readonly FrameEntry[]
  /** Records of the topic that nothing opened any more. */
  lost: readonly Parcel[]
  /** Offsets of those that Oxbow did not write: they stand in quarantine. */
  foreign: readonly number[]
  /** Requests: inlet, number, records in all (0: not known). */
  origins: readonly (readonly [inlet: string, number: number, records: number])[]
}

/** A record of the topic with its originals in clear, one behind the other. */
export interface OpenedRecord { offset: number, frame: RawFrame, originals: Buffer }

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

export function directoryContext (object: string): KeyContext { return { store: 'archive', object, purpose: 'directory' } }

/** No name of an object has a `#`. @param place among the frames, from 0 */
export function frameContext (object: string, place: number): KeyContext { return { store: 'archive', object: `${object}#${place}`, purpose: 'frame' } }

/** Compressed and sealed; opens under this key and context alone. */
export async function sealPart (key: SealingKey, context: KeyContext, clear: Buffer): Promise<Buffer> {
  return seal(key, context, await packed(clear))
}

async function packed (clear: Buffer): Promise<Buffer> {
  if (clear.length >= COMPRESSED_FROM_BYTES) {
    const smaller = clear.length < ASIDE_FROM_BYTES ? zstdCompressSync(clear, COMPRESSION) : await compress(clear, COMPRESSION)
    if (smaller.length < clear.length) return Buffer.concat([Buffer.of(ZSTD), smaller])
  }
  return Buffer.concat([Buffer.of(STORED), clear])
}

/** @throws ServiceError KEY_CONTEXT when key, name or place differ, or a byte was changed; fault INTERNAL when what opens was never sealed by us */
export async function openPart (key: SealingKey, context: KeyContext, sealed: Uint8Array): Promise<Buffer> {
  const part = open(key, context, sealed)
  if (part[0] !== ZSTD) return part.subarray(1)
  return decompress(part.subarray(1), { maxOutputLength: CLEAR_BYTES_MAX }).catch((error: unknown) => { throw notOurs('does not unpack', error) })
}

/** The whole object: head, sealed directory, sealed frames in their order. */
export function joinObject (directory: Buffer, frames: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.set(MAGIC)
  head[8] = FORMAT
  head.writeUInt32BE(directory.length, 9)
  head.writeUIntBE(frames.reduce((sum, frame) => sum + frame.length, 0), 13, 6)
  return Buffer.concat([head, directory, ...frames])
}

/** @throws ServiceError fault INTERNAL when they are no whole object of ours */
export function splitObject (bytes: Buffer): { directory: Buffer, frames: Buffer } {
  if (bytes.length < HEAD_BYTES || !bytes.subarray(0, 8).equals(MAGIC) || bytes[8] !== FORMAT) throw notOurs('has no head of ours')
  const directoryEnd = HEAD_BYTES + bytes.readUInt32BE(9)
  if (bytes.length !== directoryEnd + bytes.readUIntBE(13, 6)) throw notOurs('is not as long as its head says')
  return { directory: bytes.subarray(HEAD_BYTES, directoryEnd), frames: bytes.subarray(directoryEnd) }
}

export function encodeDirectory (directory: Directory): Buffer { return Buffer.from(JSON.stringify(directory), 'utf8') }

/** @param clear opened: only who holds the key of the archive wrote it. @throws ServiceError fault INTERNAL */
export function decodeDirectory (clear: Buffer): Directory {
  try {
    const directory = JSON.parse(clear.toString('utf8')) as Directory
    // Those of before say nothing of foreign records: there was none.
    if (directory.v === 1) return { ...directory, foreign: directory.foreign ?? [] }
  } catch { /* said below */ }
  throw notOurs('has no directory that this version reads')
}

export function encodeFrame (records: readonly OpenedRecord[]): Buffer {
  const frame = Buffer.allocUnsafe(records.reduce((sum, { frame: { head }, originals }) => sum + PARCEL_BYTES + head.length + originals.length, 0))
  let at = 0
  for (const { offset, frame: { head }, originals } of records) {
    at = frame.writeUIntBE(offset, at, 6)
    at = frame.writeUInt32BE(head.length, at)
    at = frame.writeUInt32BE(originals.length, at)
    at += head.copy(frame, at)
    at += originals.copy(frame, at)
  }
  return frame
}

/** @throws ServiceError fault INTERNAL */
export function decodeFrame (clear: Buffer): OpenedRecord[] {
  const records: OpenedRecord[] = []
  for (let at = 0; at < clear.length;) {
    const headAt = at + PARCEL_BYTES
    if (headAt > clear.length) throw notOurs('has a frame that ends too early')
    const originalsAt = headAt + clear.readUInt32BE(at + 6)
    const end = originalsAt + clear.readUInt32BE(at + 10)
    if (end > clear.length) throw notOurs('has a frame that ends too early')
    records.push({ offset: clear.readUIntBE(at, 6), frame: decodeRawFrame(clear.subarray(headAt, originalsAt)), originals: clear.subarray(originalsAt, end) })
    at = end
  }
  return records
}

function notOurs (what: string, cause?: unknown): ServiceError { return new ServiceError('fault', 'INTERNAL', `an object of the archive ${what}`, { cause }) }
