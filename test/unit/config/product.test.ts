import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder: string

beforeEach(() => {
  folder = temporaryFolder('product')
  mkdirSync(join(folder, 'src/config'), { recursive: true })
  cpSync('src/config/product.ts', join(folder, 'src/config/product.ts'))
  writePackage({})
})

afterEach(() => { rmSync(folder, { recursive: true, force: true }) })

function writePackage (more: object): void { writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', version: '1.2.3', ...more })) }

/** What the product says of itself when it stands in that folder. */
function build (place = folder): string {
  const product = pathToFileURL(join(place, 'src/config/product.ts')).href
  return execFileSync(process.execPath, ['--input-type=module', '--eval', `process.stdout.write((await import(${JSON.stringify(product)})).build())`], { encoding: 'utf8' })
}

function git (...args: string[]): string {
  return execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', ...args], { cwd: folder, encoding: 'utf8' }).trim()
}

function commitAll (): string {
  git('init', '--quiet')
  git('add', '.')
  git('commit', '--quiet', '--message', 'all')
  return git('rev-parse', 'HEAD')
}

test('a clone names its commit, whatever tags stand there, and whether files differ from it', () => {
  const commit = commitAll()
  git('tag', '--annotate', '--message', 'one', 'v1')
  expect(build()).toBe(`1.2.3+${commit}`)
  writePackage({ description: 'another' })
  expect(build()).toBe(`1.2.3+${commit}-dirty`)
})

test('what a build recorded goes before what a clone says', () => {
  writePackage({ gitHead: 'f00d' })
  commitAll()
  expect(build()).toBe('1.2.3+f00d')
})

test('no commit is named where none is known, nor that of a project around it', () => {
  expect(build()).toBe('1.2.3')
  const inner = join(folder, 'parts/oxbow')
  cpSync(join(folder, 'src'), join(inner, 'src'), { recursive: true })
  cpSync(join(folder, 'package.json'), join(inner, 'package.json'))
  commitAll()
  expect(build(inner)).toBe('1.2.3')
})
