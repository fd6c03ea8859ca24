import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { compileDefinitions, definitionsText, GENERATED } from '../../../../fhir-profiles/compile.ts'
import { isAllowedUnit } from '../../../../src/fhir/words/code-allow-list.ts'
import type { Definitions, Rule } from '../../../../src/fhir/validation/definitions.ts'
import { CHECKED_ELSEWHERE, INVARIANTS } from '../../../../src/fhir/validation/invariants.ts'
import { IN_CODE_ONLY, PROFILE_INVARIANTS } from '../../../../src/fhir/validation/profile-invariants.ts'
import { CANONICAL } from '../../../../src/model/identifier.ts'

const text = readFileSync(GENERATED, 'utf8')
const definitions = JSON.parse(text) as Definitions

test('the committed definitions are what R4 and fhir-profiles/ compile to (else: npx node fhir-profiles/compile.ts)', () => {
  expect(definitionsText(compileDefinitions()) === text).toBe(true)
}, 30_000)

test('every invariant of R4 has a function', () => {
  const keys = Object.values(definitions.types).flatMap(type => [...type.invariants ?? [], ...Object.values(type.elements).flatMap(element => element.invariants ?? [])])
  expect([...new Set(keys)].filter(key => INVARIANTS[key] === undefined && !CHECKED_ELSEWHERE.includes(key))).toEqual([])
  expect(keys).toContain('obs-6')
})

test('every constraint of a profile has a function, and every function a constraint', () => {
  const inRule = (rule: Rule): string[] => [...rule.invariants ?? [], ...Object.values(rule.elements ?? {}).flatMap(inRule), ...(rule.slices ?? []).flatMap(slice => inRule(slice.rule))]
  const keys = Object.values(definitions.profiles).flatMap(profile => inRule(profile.rule))
  expect([...new Set([...keys, ...Object.values(IN_CODE_ONLY).flat()])].sort()).toEqual(Object.keys(PROFILE_INVARIANTS).sort())
})

test('the only required value sets that are not checked are those that no list can stand for', () => {
  expect(definitions.openValueSets).toEqual(['http://hl7.org/fhir/ValueSet/currencies', 'http://hl7.org/fhir/ValueSet/mimetypes'])
})

test('the units of the value sets are those that may be emitted', () => {
  const units = Object.entries(definitions.valueSets).filter(([url]) => url.startsWith(`${CANONICAL}/ValueSet/`) && url.endsWith('-unit')).flatMap(([, systems]) => Object.values(systems).flat())
  expect(units).toContain('mm[Hg].min')
  expect([...new Set(units)].filter(unit => !isAllowedUnit(unit.replace(/[/.]min$/, '')) && unit !== 'min')).toEqual([])
})

test('types that R4 abstracts from are in it: a Duration is checked as one, a SimpleQuantity has no comparator', () => {
  expect(definitions.types['Duration']!.invariants).toContain('drt-1')
  expect(Object.keys(definitions.types['SimpleQuantity']!.elements)).not.toContain('comparator')
  expect(definitions.resources).toContain('Specimen')
})
