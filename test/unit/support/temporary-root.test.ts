import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { TestProject } from 'vitest/node'
import { temporaryFolder } from '../../support/temporary-folder.ts'
import { leaveRoot, takeRoot } from '../../support/temporary-root.ts'

// Only what is asked of a project here.
const project = { provide: () => {} } as unknown as TestProject

test('the folder of a run is there until the last project leaves, and is removed', () => {
  const root = takeRoot(project)
  expect(takeRoot(project)).toBe(root)
  leaveRoot()
  expect(existsSync(root)).toBe(true)
  leaveRoot()
  expect(existsSync(root)).toBe(false)
})

test('what a test left behind fails the run, by name, and is removed', () => {
  const root = takeRoot(project)
  mkdirSync(`${root}/models-x`)
  expect(leaveRoot).toThrow('tests left folders behind (removed now): models-x')
  expect(existsSync(root)).toBe(false)
})

test('two folders of one name are two', () => {
  const folders = [temporaryFolder('same'), temporaryFolder('same')]
  expect(new Set(folders).size).toBe(2)
  for (const folder of folders) rmdirSync(folder)
})
