/** XHTML of a narrative → what forbids it (R4 txt-1, txt-2): no more than text, pictures and their layout. */

/** Elements of HTML 4.0 chapters 7 to 11 and 15 that R4 names, and pictures and links. */
const ALLOWED: ReadonlySet<string> = new Set([
  'a', 'abbr', 'acronym', 'b', 'big', 'blockquote', 'br', 'caption', 'cite', 'code', 'col', 'colgroup', 'dd', 'dfn', 'div', 'dl', 'dt', 'em',
  'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'i', 'img', 'li', 'map', 'area', 'ol', 'p', 'pre', 'q', 's', 'samp', 'small', 'span', 'strong', 'strike',
  'sub', 'sup', 'table', 'tbody', 'td', 'tfoot', 'th', 'thead', 'tr', 'tt', 'u', 'ul', 'var', 'kbd', 'address', 'center', 'font', 'ins', 'del'
])

const TAG = /<(!--|[!?]|\/?)\s*([A-Za-z][A-Za-z0-9:]*)?([^>]*)>/g
const ACTIVE = /\son[a-z]+\s*=|(?:javascript|vbscript)\s*:/i

export function narrativeProblem (xhtml: string): string | undefined {
  const trimmed = xhtml.trim()
  if (!/^<div[\s>]/.test(trimmed) || !trimmed.endsWith('</div>')) return 'must be one div element'
  for (const [, mark, name, attributes] of trimmed.matchAll(TAG)) {
    if (mark === '!--') continue
    const isPlain = name !== undefined && mark !== '!' && mark !== '?' && ALLOWED.has(name) && !ACTIVE.test(attributes ?? '')
    if (!isPlain) return 'must hold nothing but text, pictures and their layout'
  }
  const words = trimmed.replaceAll(/<img[^>]*>/g, 'picture').replaceAll(/<[^>]*>/g, '')
  return /\S/.test(words) ? undefined : 'must not be empty'
}
