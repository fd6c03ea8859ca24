import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { schemaIdByForm } from '../../../src/ingest/decode/fixed-schemas.ts'
import { REASONS } from '../../../src/model/reason.ts'

const page = await readFile(new URL('../../../docs/ingest.md', import.meta.url), 'utf8')

test('the page for device makers lists every reason, and no other', () => {
  const table = page.slice(page.indexOf('## Reasons'), page.indexOf('Readings that wait are kept'))
  const listed = [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, reason]) => reason)
  expect(listed.sort()).toEqual(Object.keys(REASONS).sort())
})

test('a missing calibration is promised nowhere to quarantine', () => {
  expect(/^\| `calibration-missing` \| none \| never quarantined: .+$/m.test(page)).toBe(true)
  expect(REASONS['calibration-missing']).toMatch(/^never quarantined: /)
})

test('the schemas shown are the registered ones', () => {
  const schemas = [...page.matchAll(/```json\n(\{"type": "record"[\s\S]*?)```/g)].map(([, text]) => JSON.parse(text!) as unknown)
  expect(schemas.map(schemaIdByForm)).toEqual([1, 2])
})
