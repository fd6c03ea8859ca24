import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readPageToken, writePageToken } from '../../../../src/fhir/api/page-token.ts'
import { epochMs } from '../../../../src/model/units.ts'

const KEY = Buffer.alloc(32, 1)
const refused = expect.objectContaining({ code: 'FHIR_PARAMETER' })

test('a place comes back as it was written', () => {
  fc.assert(fc.property(fc.integer(), fc.integer(), fc.array(fc.oneof(fc.integer(), fc.string())), fc.string(), (asOf, now, after, boundTo) => {
    expect(readPageToken(writePageToken({ asOf: epochMs(asOf), now: epochMs(now), after }, boundTo, KEY), boundTo, KEY)).toEqual({ asOf, now, after })
  }))
})

test('a token is of no use for another search, with another key, or changed', () => {
  const token = writePageToken({ asOf: epochMs(5), now: epochMs(6), after: [7, 'id'] }, 'search', KEY)
  expect(() => readPageToken(token, 'other', KEY)).toThrow(refused)
  expect(() => readPageToken(token, 'search', Buffer.alloc(32, 2))).toThrow(refused)
  for (let at = 0; at < token.length; at++) {
    const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
    // The last symbol of base64url carries unused bits.
    if (Buffer.from(changed.split('.')[1] ?? '', 'base64url').equals(Buffer.from(token.split('.')[1]!, 'base64url')) && changed.split('.')[0] === token.split('.')[0]) continue
    expect(() => readPageToken(changed, 'search', KEY)).toThrow(refused)
  }
  for (const nonsense of ['', '.', 'a', 'a.b.c']) expect(() => readPageToken(nonsense, 'search', KEY)).toThrow(refused)
})
