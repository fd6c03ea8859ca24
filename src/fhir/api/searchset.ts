/** A page of resources as text and the links around it -> the searchset Bundle as text; the entries are never parsed. */

import type { OperationOutcome } from '@medplum/fhirtypes'

export interface SearchsetParts {
  /** Absolute base without a trailing slash. */
  baseUrl: string
  /** Of every entry. */
  type: string
  texts: readonly { id: string, text: string }[]
  total?: number
  self: string
  next?: string
  /** Warnings about the search itself. */
  outcome?: OperationOutcome
}

/** Same page, same bytes. `entry` is left out when it would be empty. */
export function searchsetText ({ baseUrl, type, texts, total, self, next, outcome }: SearchsetParts): string {
  const entries = texts.map(({ id, text }) => `{"fullUrl":${JSON.stringify(`${baseUrl}/${type}/${id}`)},"resource":${text},"search":{"mode":"match"}}`)
  if (outcome !== undefined) entries.push(`{"resource":${JSON.stringify(outcome)},"search":{"mode":"outcome"}}`)
  const links = [{ relation: 'self', url: self }, ...(next === undefined ? [] : [{ relation: 'next', url: next }])]
  return '{"resourceType":"Bundle","type":"searchset"' +
    (total === undefined ? '' : `,"total":${total}`) +
    `,"link":${JSON.stringify(links)}` +
    (entries.length === 0 ? '' : `,"entry":[${entries.join(',')}]`) + '}'
}
