/** Values by type -> rows of PostgreSQL's binary COPY format in one growing buffer. One buffer serves many commits. */

/** Fields in the order of the columns; each call adds one field of the row begun last. Whole numbers out of range throw RangeError. */
export interface CopyBuffer {
  /** Begins a row of `fieldCount` fields. */
  row (fieldCount: number): void
  null (): void
  bool (value: boolean): void
  int2 (value: number): void
  int4 (value: number): void
  /** Safe integers only. */
  int8 (value: number): void
  float4 (value: number): void
  float8 (value: number): void
  /** @param value ms since 1970-01-01T00:00Z, in the years 1715 to 2284; fractions are kept to the microsecond */
  timestamptz (value: number): void
  text (value: string): void
  /** @param value 32 hexadecimal digits, with or without hyphens */
  uuid (value: string): void
  bytea (value: Uint8Array): void
  int4Array (values: readonly number[]): void
  int8Array (values: readonly number[]): void
  /** `undefined` becomes NULL. */
  float4Array (values: readonly (number | undefined)[]): void
  float8Array (values: readonly (number | undefined)[]): void
  /** Rows since the last `reset`. */
  readonly rowCount: number
  /** Bytes held, without the trailer. */
  readonly byteCount: number
  /** Header, rows and trailer: a view, good until the next `reset`. */
  bytes (): Buffer
  /** Empties the buffer and keeps its memory. */
  reset (): void
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const HEADER_BYTES = SIGNATURE.length + 8
const TRAILER = -1
const NULL = -1
const EPOCH_2000_MS = 946_684_800_000
const OID = { int4: 23, int8: 20, float4: 700, float8: 701 } as const
const TWO_32 = 2 ** 32
const UTF8_PER_UNIT_MAX = 3
const TRUE = Uint8Array.of(1)
const FALSE = Uint8Array.of(0)

/** @param initialBytes room at the start; doubled when it is full */
export function createCopyBuffer (initialBytes = 64 * 1024): CopyBuffer {
  const buffer = Buffer.alloc(Math.max(initialBytes, 64))
  const room: Room = { buffer, view: viewOf(buffer), position: 0 }
  let rowCount = 0
  function reset (): void {
    rowCount = 0
    room.position = 0
    const at = take(room, HEADER_BYTES)
    room.buffer.set(SIGNATURE, at)
    setInt8(room.view, at + SIGNATURE.length, 0)
  }
  reset()
  return {
    row (fieldCount) {
      const at = take(room, 2)
      room.view.setInt16(at, fieldCount)
      rowCount++
    },
    null: () => putNull(room),
    bool: value => putBytes(room, value ? TRUE : FALSE),
    int2: value => putInt2(room, value),
    int4: value => putInt4(room, value),
    int8: value => putInt8(room, value),
    float4: value => putFloat4(room, value),
    float8: value => putFloat8(room, value),
    timestamptz: value => putInt8(room, Math.round((value - EPOCH_2000_MS) * 1000)),
    text: value => putText(room, value),
    uuid: value => putUuid(room, value),
    bytea: value => putBytes(room, value),
    int4Array: values => putArray(room, OID.int4, values, 4, putInt4),
    int8Array: values => putArray(room, OID.int8, values, 8, putInt8),
    float4Array: values => putArray(room, OID.float4, values, 4, putFloat4),
    float8Array: values => putArray(room, OID.float8, values, 8, putFloat8),
    get rowCount () { return rowCount },
    get byteCount () { return room.position },
    bytes () {
      const at = take(room, 2)
      room.view.setInt16(at, TRAILER)
      room.position = at
      return room.buffer.subarray(0, at + 2)
    },
    reset
  }
}

interface Room { buffer: Buffer, view: DataView, position: number }

/** Makes room for `size` bytes and returns where to write them. */
function take (room: Room, size: number): number {
  const at = room.position
  if (at + size > room.buffer.length) {
    const larger = Buffer.alloc(Math.max(at + size, room.buffer.length * 2))
    room.buffer.copy(larger, 0, 0, at)
    room.buffer = larger
    room.view = viewOf(larger)
  }
  room.position = at + size
  return at
}

/** Writes the length word and returns the place of the value. */
function field (room: Room, size: number): number {
  const at = take(room, 4 + size)
  room.view.setInt32(at, size)
  return at + 4
}

function putNull (room: Room): void {
  const at = take(room, 4)
  room.view.setInt32(at, NULL)
}

// The place is taken before `room.view` is read: taking may replace the view.
function putInt2 (room: Room, value: number): void {
  const at = field(room, 2)
  room.view.setInt16(at, whole(value, 15))
}

function putInt4 (room: Room, value: number): void {
  const at = field(room, 4)
  room.view.setInt32(at, whole(value, 31))
}

function putInt8 (room: Room, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError('not a safe integer')
  const at = field(room, 8)
  setInt8(room.view, at, value)
}

function putFloat4 (room: Room, value: number): void {
  const at = field(room, 4)
  room.view.setFloat32(at, value)
}

function putFloat8 (room: Room, value: number): void {
  const at = field(room, 8)
  room.view.setFloat64(at, value)
}

function putBytes (room: Room, value: Uint8Array): void {
  const at = field(room, value.length)
  room.buffer.set(value, at)
}

function putText (room: Room, value: string): void {
  const at = take(room, 4 + value.length * UTF8_PER_UNIT_MAX)
  const size = room.buffer.write(value, at + 4)
  room.view.setInt32(at, size)
  room.position = at + 4 + size
}

function putUuid (room: Room, value: string): void {
  const digits = value.length === 36 ? value.replaceAll('-', '') : value
  const at = field(room, 16)
  if (digits.length !== 32 || room.buffer.write(digits, at, 'hex') !== 16) throw new RangeError('not a UUID')
}

/** One dimension that begins at index 1; an empty array has no dimension. `undefined` is NULL. */
function putArray<T extends number | undefined> (room: Room, oid: number, values: readonly T[], size: number, put: (room: Room, value: number) => void): void {
  const present = values.reduce<number>((count, value) => value === undefined ? count : count + 1, 0)
  const head = values.length === 0 ? 12 : 20
  const at = field(room, head + values.length * 4 + present * size)
  room.view.setInt32(at, values.length === 0 ? 0 : 1)
  room.view.setInt32(at + 4, present < values.length ? 1 : 0)
  room.view.setInt32(at + 8, oid)
  if (values.length > 0) {
    room.view.setInt32(at + 12, values.length)
    room.view.setInt32(at + 16, 1)
  }
  room.position = at + head
  for (const value of values) value === undefined ? putNull(room) : put(room, value)
}

function setInt8 (view: DataView, at: number, value: number): void {
  const high = Math.floor(value / TWO_32)
  view.setInt32(at, high)
  view.setUint32(at + 4, value - high * TWO_32)
}

function whole (value: number, bits: number): number {
  if (!Number.isInteger(value) || value < -(2 ** bits) || value >= 2 ** bits) throw new RangeError(`not a whole number of ${bits + 1} bits`)
  return value
}

function viewOf (buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
