import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadMappings } from '../../../src/fhir/views/mapping.ts'
import { MAPPINGS } from '../../support/example-views.ts'
import { goldenExample } from '../../support/golden.ts'
import { isAllowedCode, isAllowedUnit, UCUM } from '../../../src/fhir/words/code-allow-list.ts'

for (const { file } of loadMappings(MAPPINGS).all()) {
  test(`${file.name} gives its golden example`, () => {
    expect(goldenExample(file)).toEqual(JSON.parse(readFileSync(join(MAPPINGS, `${file.name}.example.json`), 'utf8')))
  })
}

const OUTSIDE = new Set(['http://loinc.org', 'urn:iso:std:iso:11073:10101', 'http://snomed.info/sct'])

test('no golden example holds a code outside the allow-list, and mmHg and torr are never codes', () => {
  const found: string[] = []
  JSON.stringify(loadMappings(MAPPINGS).all().map(({ file }) => goldenExample(file)), (_key, value: unknown) => {
    const { system, code } = (value ?? {}) as { system?: unknown, code?: unknown }
    if (typeof system === 'string' && typeof code === 'string') found.push(`${system}|${code}`)
    return value
  })
  const codes = [...new Set(found)].map(name => name.split('|') as [string, string])
  expect(codes.filter(([system, code]) => OUTSIDE.has(system) && !isAllowedCode(system, code))).toEqual([])
  const units = codes.filter(([system]) => system === UCUM).map(([, code]) => code)
  expect(units.filter(unit => !isAllowedUnit(unit.replace(/[/.]min$/, '')))).toEqual([])
  expect(units).toContain('mm[Hg]/min')
})
