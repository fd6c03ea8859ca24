/** Bytes of an object → its directory and its frames, each checked on its way. */

import type { SealingKey } from '../../security/envelope.ts'
import { type Directory, decodeDirectory, decodeFrame, directoryContext, type FrameEntry, frameContext, openPart, type OpenedRecord, splitObject } from './object-bytes.ts'

export interface OpenedObject {
  directory: Directory
  /** Everything behind the directory. */
  frames: Buffer
}

/** @throws ServiceError KEY_CONTEXT when it does not open under this key and name; fault INTERNAL when it is no whole object of ours */
export async function openObject (bytes: Buffer, object: string, directoryKey: SealingKey): Promise<OpenedObject> {
  const { directory, frames } = splitObject(bytes)
  return { directory: decodeDirectory(await openPart(directoryKey, directoryContext(object), directory)), frames }
}

/** Records of the topic in one frame. @throws ServiceError KEY_CONTEXT; fault INTERNAL */
export async function openFrame ({ directory, frames }: OpenedObject, entry: FrameEntry, sidKey: SealingKey): Promise<OpenedRecord[]> {
  const place = directory.frames.indexOf(entry)
  return decodeFrame(await openPart(sidKey, frameContext(directory.object, place), frames.subarray(entry.at, entry.at + entry.length)))
}
