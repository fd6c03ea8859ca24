import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configurationPage } from '../../../src/config/document.ts'

test('docs/configuration.md is what the settings print', () => {
  expect(readFileSync('docs/configuration.md', 'utf8')).toBe(configurationPage())
})
