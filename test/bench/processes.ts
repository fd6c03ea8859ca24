/** Process ids -> CPU time and memory of whole process trees, from /proc. */

import { readdirSync, readFileSync } from 'node:fs'
import type { Server } from './server.ts'

/** Linux counts in hundredths of a second for every program that asks. */
const TICK_US = 10_000

interface Stat { pid: number, parent: number, ownTicks: number, childTicks: number }

/** CPU used so far by the server without PostgreSQL, and by PostgreSQL; processes that ended included. */
export async function cpuUs (server: Server): Promise<{ server: number, postgres: number }> {
  const stats = readStats()
  const postmaster = await server.postmasterPid()
  const postgres = treeOf(stats, postmaster)
  const others = treeOf(stats, server.pid).filter(({ pid }) => !postgres.some(stat => stat.pid === pid))
  return { server: sumUs(others), postgres: sumUs(postgres) }
}

/** CPU used so far by a process and those below it. */
export function treeCpuUs (root: number): number { return sumUs(treeOf(readStats(), root)) }

export interface Memory {
  /** Proportional set size without shared memory, in bytes. */
  own: number
  /** Shared memory of PostgreSQL, as far as it was touched. */
  shared: number
  processes: number
}

export function memoryOf (server: Server): Memory {
  const pids = treeOf(readStats(), server.pid).map(({ pid }) => pid)
  let own = 0
  let shared = 0
  for (const pid of pids) {
    const rollup = readText(`/proc/${pid}/smaps_rollup`)
    const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0)
    own += (kilobytes('Pss') - kilobytes('Pss_Shmem')) * 1_024
    shared += kilobytes('Pss_Shmem') * 1_024
  }
  return { own, shared, processes: pids.length }
}

/** Live processes below `root`, itself included. */
export function treePids (root: number): number[] { return treeOf(readStats(), root).map(({ pid }) => pid) }

function sumUs (stats: readonly Stat[]): number {
  return stats.reduce((sum, { ownTicks, childTicks }) => sum + ownTicks + childTicks, 0) * TICK_US
}

function treeOf (stats: readonly Stat[], root: number): Stat[] {
  const found = stats.filter(({ pid }) => pid === root)
  for (let index = 0; index < found.length; index++) {
    found.push(...stats.filter(({ parent }) => parent === found[index]!.pid))
  }
  return found
}

function readStats (): Stat[] {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).flatMap(name => {
    const text = readText(`/proc/${name}/stat`)
    if (text === '') return []
    // The name of the program may hold spaces and brackets: fields are counted behind it (proc(5), from field 3 on).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number)
    return [{ pid: Number(name), parent: fields[1]!, ownTicks: fields[11]! + fields[12]!, childTicks: fields[13]! + fields[14]! }]
  })
}

/** '' when the process is gone. */
function readText (path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
