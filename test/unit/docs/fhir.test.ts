/** What docs/fhir.md lists is what the server does. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { INTERACTIONS, LETTER } from '../../../src/fhir/api/interaction.ts'
import { RESULT_PARAMETERS, SEARCH_PARAMETERS } from '../../../src/fhir/api/search-parameters.ts'

const PAGE = readFileSync('docs/fhir.md', 'utf8')

/** Cells of the table below a heading, without its head. */
function rowsBelow (heading: string): string[][] {
  const section = PAGE.split(`## ${heading}\n`)[1]!.split('\n## ')[0]!
  return section.split('\n').filter(line => line.startsWith('|')).slice(2).map(line => line.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.trim().replaceAll('\\|', '|')))
}

test('interactions are those of the routes', () => {
  expect(Object.fromEntries(rowsBelow('Interactions').map(([type, codes]) => [type!.replaceAll('`', ''), codes!.split(', ')]))).toEqual(INTERACTIONS)
})

test('search parameters are those of the server', () => {
  const wanted = Object.entries(SEARCH_PARAMETERS).flatMap(([type, parameters]) => parameters.map(({ name, type: kind, documentation }) => [`\`${type}\``, `\`${name}\``, kind, documentation]))
  expect(rowsBelow('Search parameters')).toEqual(wanted)
  expect(PAGE).toContain(`for every type: ${RESULT_PARAMETERS.map(name => `\`${name}\``).join(', ')}.`)
})

test('letters of scopes open what they open', () => {
  const opened = Object.fromEntries(rowsBelow('Scopes').map(([letter, codes]) => [letter!.replaceAll('`', ''), codes!]))
  for (const [code, letter] of Object.entries(LETTER)) expect(opened[letter]).toContain(code)
})
