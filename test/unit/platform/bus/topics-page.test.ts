import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { STREAMS } from '../../../../src/model/streams.ts'
import { topicsPage } from '../../../../src/platform/bus/topics-page.ts'

test('docs/topics.md is what the topics print', () => {
  expect(readFileSync('docs/topics.md', 'utf8')).toBe(topicsPage())
})

test('writers are the files that make records for a topic, readers are files of the project', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
  for (const [name, { writers }] of [['RAW', STREAMS[0]!], ['READINGS', STREAMS[1]!]] as const) {
    const making = sources.filter(file => new RegExp(`topic: ${name}, key: [^']`).test(readFileSync(`src/${file}`, 'utf8')))
    expect(making.map(file => file.replace(/\.ts$/, '')).sort(), name).toEqual([...writers].sort())
  }
  for (const path of STREAMS.flatMap(({ readers }) => readers)) expect(existsSync(`src/${path}.ts`), path).toBe(true)
})
