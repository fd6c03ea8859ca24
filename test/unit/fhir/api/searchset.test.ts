import { expect, test } from 'vitest'
import { searchsetText } from '../../../../src/fhir/api/searchset.ts'

const parts = { baseUrl: 'https://h/fhir', type: 'Observation', self: 'https://h/fhir/Observation?code=a%7Cb', texts: [{ id: 'x', text: '{"resourceType":"Observation","id":"x"}' }] }

test('entries stand as they were written, each with its address', () => {
  expect(JSON.parse(searchsetText(parts))).toEqual({
    resourceType: 'Bundle',
    type: 'searchset',
    link: [{ relation: 'self', url: 'https://h/fhir/Observation?code=a%7Cb' }],
    entry: [{ fullUrl: 'https://h/fhir/Observation/x', resource: { resourceType: 'Observation', id: 'x' }, search: { mode: 'match' } }]
  })
})

test('total, next link and warnings stand when they are given', () => {
  const outcome = { resourceType: 'OperationOutcome' as const, issue: [{ severity: 'warning' as const, code: 'not-supported' as const }] }
  const bundle = JSON.parse(searchsetText({ ...parts, total: 3, next: 'https://h/next', outcome })) as { total: number, link: unknown[], entry: unknown[] }
  expect(bundle).toMatchObject({ total: 3, link: [{ relation: 'self' }, { relation: 'next', url: 'https://h/next' }] })
  expect(bundle.entry.at(-1)).toEqual({ resource: outcome, search: { mode: 'outcome' } })
})

test('a page without entries has no entry element', () => {
  expect(JSON.parse(searchsetText({ ...parts, texts: [], total: 0 }))).not.toHaveProperty('entry')
})
