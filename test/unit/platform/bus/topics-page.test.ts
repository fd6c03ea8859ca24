import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { STREAMS } from '../../../../src/model/streams.ts'
import { topicsPage } from '../../../../src/platform/bus/topics-page.ts'

test('docs/topics.md is what the topics print', () => {
  expect(readFileSync('docs/topics.md', 'utf8')).toBe(topicsPage())
})

test('writers and readers are files of the project', () => {
  for (const path of STREAMS.flatMap(({ writer, readers }) => [writer, ...readers])) expect(existsSync(`src/${path}.ts`), path).toBe(true)
})
