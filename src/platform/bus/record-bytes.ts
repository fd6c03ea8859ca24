/** What a record of the bus weighs: its key and value, and their lengths as a row of the embedded bus holds them. */

export const KEY_LENGTH_BYTES = 2
export const VALUE_LENGTH_BYTES = 4
/** Most bytes of a key: its length must fit. */
export const KEY_BYTES_MAX = 0xffff

export function recordBytes ({ key, value }: { key: string, value: Uint8Array }): number {
  return KEY_LENGTH_BYTES + Buffer.byteLength(key) + VALUE_LENGTH_BYTES + value.length
}
