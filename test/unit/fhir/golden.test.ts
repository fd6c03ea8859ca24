import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadMappings } from '../../../src/fhir/mapping.ts'
import { MAPPINGS } from '../../support/example-views.ts'
import { goldenExample } from '../../support/golden.ts'

for (const { file } of loadMappings(MAPPINGS).all()) {
  test(`${file.name} gives its golden example`, () => {
    expect(goldenExample(file)).toEqual(JSON.parse(readFileSync(join(MAPPINGS, `${file.name}.example.json`), 'utf8')))
  })
}
