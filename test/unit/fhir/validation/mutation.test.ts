/** One change to a valid resource that makes it invalid, at every place it can be made: none may be overlooked. */

import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { GENERATED } from '../../../../fhir-profiles/compile.ts'
import type { Definitions } from '../../../../src/fhir/validation/definitions.ts'
import { validateForWrite } from '../../../../src/fhir/validation/validate.ts'
import { GOLDEN, golden, type Json, METRICS, readmeResource } from '../../../support/valid-resources.ts'

const definitions = JSON.parse(readFileSync(GENERATED, 'utf8')) as Definitions
const RESOURCES: readonly Json[] = [
  ...GOLDEN.flatMap(golden), ...METRICS, ...['Patient', 'Device', 'DeviceUseStatement'].map(readmeResource)
].map(({ meta: _profiles, ...resource }) => resource)

type Path = readonly (string | number)[]

/** Every object or array inside, with the way there. */
function places (value: unknown, path: Path = []): { path: Path, value: Json | unknown[] }[] {
  if (typeof value !== 'object' || value === null) return []
  return [{ path, value: value as Json }, ...Object.entries(value).flatMap(([name, inner]) => places(inner, [...path, Array.isArray(value) ? Number(name) : name]))]
}

function copyWith (resource: Json, path: Path, change: (at: Json | unknown[]) => void): Json {
  const copy = structuredClone(resource)
  let at: unknown = copy
  for (const step of path) at = (at as Json)[step]
  change(at as Json)
  return copy
}

const isRefused = (resource: Json): boolean => validateForWrite(resource, { findingsMax: 5 }).some(finding => finding.severity === 'error')

const anyResource = fc.constantFrom(...RESOURCES)
const objectIn = anyResource.chain(resource => fc.constantFrom(...places(resource).filter(place => !Array.isArray(place.value))).map(place => ({ resource, path: place.path, value: place.value as Json })))
const listIn = anyResource.chain(resource => fc.constantFrom(...places(resource).filter(place => Array.isArray(place.value))).map(place => ({ resource, path: place.path })))
const valueIn = objectIn.chain(place => fc.constantFrom(...Object.keys(place.value)).map(name => ({ ...place, name }))).filter(({ name }) => name !== 'resourceType')

test('base R4 accepts all that is changed here', () => { expect(RESOURCES.filter(isRefused)).toEqual([]) })

test('an unknown property is found wherever it stands', () => {
  fc.assert(fc.property(objectIn, fc.string({ minLength: 1 }), ({ resource, path, value }, name) => {
    fc.pre(!Object.values(definitions.types).some(type => Object.keys(type.elements).some(element => name.replace(/^_/, '').startsWith(element.replace('[x]', '')))) && !(name in value))
    return isRefused(copyWith(resource, path, at => { Object.defineProperty(at, name, { value: 'x', enumerable: true }) }))
  }), { numRuns: 400 })
})

test('an empty array, an empty object and null are found wherever they stand', () => {
  fc.assert(fc.property(valueIn, fc.constantFrom([], {}, null), ({ resource, path, name }, nothing) =>
    isRefused(copyWith(resource, path, at => { (at as Json)[name] = nothing }))), { numRuns: 1_000 })
})

test('an emptied array, and null in an array, are found wherever they stand', () => {
  fc.assert(fc.property(listIn, fc.boolean(), ({ resource, path }, isEmptied) =>
    isRefused(copyWith(resource, path, at => { if (isEmptied) (at as unknown[]).length = 0; else (at as unknown[]).push(null) }))), { numRuns: 500 })
})

test('a value of another JSON type is found wherever it stands', () => {
  const other = (value: unknown): unknown => typeof value === 'string' ? 7 : typeof value === 'number' ? '7' : typeof value === 'boolean' ? 'true' : Array.isArray(value) ? value[0] : [value]
  fc.assert(fc.property(valueIn, ({ resource, path, name, value }) =>
    isRefused(copyWith(resource, path, at => { (at as Json)[name] = other(value[name]) }))), { numRuns: 1_000 })
})

test('a missing required element is found wherever it is missing', () => {
  const required = new Map<string, readonly string[]>(Object.entries(definitions.types).map(([type, { elements }]) => [type, Object.entries(elements).filter(([, element]) => element.min === 1).map(([name]) => name)]))
  const removable = RESOURCES.flatMap(resource => [
    ...required.get(resource['resourceType'] as string)!.map(name => ({ resource, path: [] as Path, name: name.replace('[x]', '') })),
    ...places(resource).flatMap(({ path }) => {
      const type = path.at(-1) === 'valueSampledData' ? 'SampledData' : path.at(-2) === 'extension' ? 'Extension' : undefined
      return type === undefined ? [] : required.get(type)!.map(name => ({ resource, path, name }))
    })
  ])
  expect(new Set(removable.map(({ name }) => name))).toEqual(new Set(['status', 'code', 'url', 'origin', 'period', 'dimensions', 'type', 'category', 'subject', 'device']))
  for (const { resource, path, name } of removable) expect([resource['resourceType'], path, name, isRefused(copyWith(resource, path, at => { delete (at as Json)[name] }))]).toEqual([resource['resourceType'], path, name, true])
})

test('any JSON gets an answer', () => {
  fc.assert(fc.property(fc.jsonValue(), valueIn, (anything, { resource, path, name }) => {
    validateForWrite(anything, { findingsMax: 5 })
    validateForWrite({ resourceType: 'Observation', ...(typeof anything === 'object' ? anything : {}) }, { findingsMax: 5 })
    validateForWrite(copyWith(resource, path, at => { (at as Json)[name] = anything }), { findingsMax: 5 })
  }), { numRuns: 500 })
})
