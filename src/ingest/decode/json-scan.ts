/** One pass over JSON bytes before they are parsed: takes a body, gives where each record stands, how many members it has, how deep it nests. */

export interface Spans {
  readonly starts: number[]
  readonly ends: number[]
  /** Members of the record's objects, nested ones too: more than the parsed record has means that a key stands there twice. */
  readonly members: number[]
  /** Deepest nesting of each record; a record itself is 1. */
  readonly depths: number[]
}

const COMMA = 0x2c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const NEWLINE = 0x0a

/** Index of the first byte that is no white space of JSON (RFC 8259 §2), or `end`. */
export function skipSpace (bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && isSpace(bytes[at]!)) at++
  return at
}

function isSpace (byte: number): boolean { return byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09 }

/** Spans of the elements of an array body, or the one span of an object body, for bytes that are valid JSON; stops after `countMax + 1` spans.
 *  For other bytes the spans mean nothing, and parsing will say so. */
export function scanBody (bytes: Buffer, countMax: number): Spans {
  const spans: Spans = { starts: [], ends: [], members: [], depths: [] }
  const first = skipSpace(bytes, 0, bytes.length)
  if (bytes[first] !== OPEN_LIST) {
    scanElement(bytes, first, bytes.length, spans)
    return spans
  }
  let at = skipSpace(bytes, first + 1, bytes.length)
  while (at < bytes.length && bytes[at] !== CLOSE_LIST && spans.starts.length <= countMax) {
    at = scanElement(bytes, at, bytes.length, spans)
    if (bytes[at] !== COMMA) at = skipSpace(bytes, at, bytes.length)
    if (bytes[at] !== COMMA) break
    at++
    if (bytes[at] !== OPEN_OBJECT) at = skipSpace(bytes, at, bytes.length)
  }
  return spans
}

/** One span per line that is not blank. `regular`: each line is one object, closed at its end, so that all lines may be parsed as one array. */
export function scanLines (bytes: Buffer, countMax: number): { spans: Spans, regular: boolean } {
  const spans: Spans = { starts: [], ends: [], members: [], depths: [] }
  let regular = true
  let at = 0
  while (at < bytes.length && spans.starts.length <= countMax) {
    const newline = bytes.indexOf(NEWLINE, at)
    const lineEnd = newline < 0 ? bytes.length : newline
    const start = skipSpace(bytes, at, lineEnd)
    at = lineEnd + 1
    if (start === lineEnd) { regular = false; continue }
    const closed = scanElement(bytes, start, lineEnd, spans)
    const isWhole = bytes[start] === OPEN_OBJECT && bytes[closed - 1] === CLOSE_OBJECT && skipSpace(bytes, closed, lineEnd) === lineEnd
    if (isWhole) continue
    regular = false
    spans.ends[spans.ends.length - 1] = lineEnd
  }
  return { spans, regular }
}

/** Adds one span; gives the index behind it. An object or list ends where it closes, anything else before the next comma or closing bracket. */
function scanElement (bytes: Buffer, start: number, end: number, spans: Spans): number {
  let depth = 0
  let deepest = 0
  let members = 0
  let at = start
  // Every byte of every request passes here: a chain of ifs takes half the time of a switch.
  for (; at < end; at++) {
    const byte = bytes[at]
    if (byte === 0x22 /* " */) {
      for (at++; at < end; at++) {
        const inner = bytes[at]
        if (inner === 0x22) break
        if (inner === 0x5c /* \ */) at++
      }
    } else if (byte === 0x3a /* : */) {
      members++
    } else if (byte === 0x7b /* { */ || byte === 0x5b /* [ */) {
      if (++depth > deepest) deepest = depth
    } else if (byte === 0x7d /* } */ || byte === 0x5d /* ] */) {
      if (--depth > 0) continue
      if (depth === 0) at++
      break
    } else if (byte === 0x2c /* , */ && depth === 0) {
      break
    }
  }
  if (at > end) at = end
  spans.starts.push(start)
  spans.ends.push(at)
  spans.members.push(members)
  spans.depths.push(deepest)
  return at
}
