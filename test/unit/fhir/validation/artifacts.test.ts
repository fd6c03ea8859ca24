import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { CANONICAL } from '../../../../src/model/identifier.ts'
import { GOLDEN, golden, type Json, METRICS, readmeBundle } from '../../../support/valid-resources.ts'

const FOLDER = fileURLToPath(new URL('../../../../fhir-profiles/', import.meta.url))
const ARTIFACTS = readdirSync(FOLDER).filter(name => name.endsWith('.json')).map(name => [name, JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Json] as const)

test('each artifact says what it is, under the name of its file', () => {
  for (const [name, artifact] of ARTIFACTS) {
    const { resourceType, id, url } = artifact
    expect([name, url]).toEqual([`${String(resourceType)}-${String(id)}.json`, `${CANONICAL}/${String(resourceType)}/${String(id)}`])
    for (const property of ['version', 'name', 'title', 'status', 'publisher', 'description']) expect([name, property, typeof artifact[property]]).toEqual([name, property, 'string'])
    expect([name, artifact['experimental']]).toEqual([name, false])
    if (resourceType === 'CodeSystem') expect([name, artifact['caseSensitive'], artifact['content'], (artifact['concept'] as Json[]).length]).toEqual([name, true, 'complete', artifact['count']])
  }
})

test('every code of our systems that is emitted or stored is defined, under its display', () => {
  const defined = new Map<string, unknown>(ARTIFACTS.flatMap(([, artifact]) =>
    artifact['resourceType'] === 'CodeSystem' ? (artifact['concept'] as Json[]).map(concept => [`${String(artifact['url'])}|${String(concept['code'])}`, concept['display']] as const) : []))
  const wrong = new Set<string>()
  JSON.stringify([...GOLDEN.flatMap(golden), ...METRICS, readmeBundle()], (_key, value: unknown) => {
    const { system, code, display } = (value ?? {}) as Json
    if (typeof system === 'string' && system.startsWith(`${CANONICAL}/CodeSystem/`)) {
      const name = `${system}|${String(code)}`
      if (!defined.has(name) || (display !== undefined && display !== defined.get(name))) wrong.add(`${name} ${String(display)}`)
    }
    return value
  })
  expect([...wrong]).toEqual([])
})
