/** Records of one partition and one group commit <-> the bytes of their row: 1 byte version, then per record key and value with lengths. */

import { ServiceError } from '../../../model/errors.ts'
import { keyText } from '../key-text.ts'
import { KEY_LENGTH_BYTES, recordBytes, VALUE_LENGTH_BYTES } from '../record-bytes.ts'

const VERSION = 1

export function encodeRow (records: readonly { key: string, value: Uint8Array }[]): Buffer {
  let size = 1
  for (const record of records) size += recordBytes(record)
  const row = Buffer.allocUnsafe(size)
  let at = row.writeUInt8(VERSION)
  for (const { key, value } of records) {
    const keyBytes = row.write(key, at + KEY_LENGTH_BYTES)
    row.writeUInt16BE(keyBytes, at)
    at = row.writeUInt32BE(value.length, at + KEY_LENGTH_BYTES + keyBytes)
    row.set(value, at)
    at += value.length
  }
  return row
}

/**
 * The records from number `skip` on, at most `countMax` of them, whose values together are at most `bytesMax`; none when the first is
 * larger. Values are views of `row`. @throws ServiceError fault INTERNAL when the bytes are not what `encodeRow` made
 */
export function decodeRow (row: Buffer, firstOffset: number, skip: number, countMax: number, bytesMax: number): { offset: number, key: string, value: Buffer }[] {
  if (row[0] !== VERSION) throw damaged()
  const records = []
  let bytes = 0
  for (let at = 1, index = 0; at < row.length && records.length < countMax; index++) {
    const keyAt = at + KEY_LENGTH_BYTES
    const lengthAt = keyAt + row.readUInt16BE(at)
    const valueAt = lengthAt + VALUE_LENGTH_BYTES
    if (valueAt > row.length) throw damaged()
    const end = valueAt + row.readUInt32BE(lengthAt)
    if (end > row.length) throw damaged()
    at = end
    if (index < skip) continue
    bytes += end - valueAt
    if (bytes > bytesMax) break
    records.push({ offset: firstOffset + index, key: keyText(row, keyAt, lengthAt - keyAt), value: row.subarray(valueAt, end) })
  }
  return records
}

const damaged = () => new ServiceError('fault', 'INTERNAL', 'a row of the bus is damaged')
