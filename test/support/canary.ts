/** Planted texts and the forms in which they could stand somewhere: as they are, folded, escaped, encoded, hashed. */

import { createHash } from 'node:crypto'

export interface Form { name: string, /** Bytes as latin1 text. */ text: string, /** Sought in lower case. */ isFolded: boolean }

const HASHES = ['md5', 'sha1', 'sha256'] as const

/** Every form of a text; base64 in the three places where it may begin inside longer bytes. */
export function formsOf (canary: string): Form[] {
  const bytes = Buffer.from(canary, 'utf8')
  const escaped = [...canary].map(symbol => symbol.codePointAt(0)! > 126 ? unicodeEscape(symbol) : symbol).join('')
  return [
    { name: 'raw', text: bytes.toString('latin1').toLowerCase(), isFolded: true },
    { name: 'JSON-escaped', text: escaped.toLowerCase(), isFolded: true },
    { name: 'JSON-escaped throughout', text: [...canary].map(unicodeEscape).join('').toLowerCase(), isFolded: true },
    { name: 'URL-escaped', text: encodeURIComponent(canary).toLowerCase(), isFolded: true },
    { name: 'hex', text: bytes.toString('hex'), isFolded: true },
    { name: 'UTF-16', text: Buffer.from(canary, 'utf16le').toString('latin1').toLowerCase(), isFolded: true },
    ...[0, 1, 2].map(shift => ({ name: `base64 at ${shift}`, text: base64At(bytes, shift), isFolded: false })),
    ...HASHES.flatMap(hash => [
      { name: `${hash} hex`, text: createHash(hash).update(bytes).digest('hex'), isFolded: true },
      { name: `${hash} base64`, text: createHash(hash).update(bytes).digest('base64').replaceAll('=', ''), isFolded: false }
    ])
  ]
}

function unicodeEscape (symbol: string): string {
  return [...Array(symbol.length).keys()].map(place => `\\u${symbol.charCodeAt(place).toString(16).padStart(4, '0')}`).join('')
}

/** The symbols that say nothing about the bytes around. */
function base64At (bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64').replaceAll('=', '')
  const lead = shift === 0 ? 0 : shift + 1
  const isWhole = (bytes.length + shift) % 3 === 0
  return text.slice(lead, isWhole ? undefined : -1)
}

export interface Haystack { name: string, bytes: Buffer }

/** `where: canary as form` for each that is found. */
export function findCanaries (haystacks: readonly Haystack[], canaries: readonly string[]): string[] {
  const forms = canaries.flatMap(canary => formsOf(canary).map(form => ({ canary, form })))
  return haystacks.flatMap(({ name, bytes }) => {
    // COPY doubles backslashes; base64url has two other symbols.
    const plain = bytes.toString('latin1').replaceAll('\\\\', '\\')
    const [folded, base64] = [plain.toLowerCase(), plain.replaceAll('-', '+').replaceAll('_', '/')]
    return forms
      .filter(({ form }) => form.isFolded ? folded.includes(form.text) : plain.includes(form.text) || base64.includes(form.text))
      .map(({ canary, form }) => `${name}: ${canary} as ${form.name}`)
  })
}
