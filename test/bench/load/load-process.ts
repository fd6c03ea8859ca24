/** The load generator as the harness holds it: a process of its own, so that its CPU is told apart. */

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LoadCommand, LoadReply } from './load.ts'
import type { LoadResult } from './load-run.ts'
import type { LoadPlan } from './plan.ts'

export interface LoadProcess {
  plan (plan: LoadPlan): Promise<void>
  run (until: { seconds?: number, postsPerGateway?: number }): Promise<LoadResult>
  /** Ends the run in progress; its result comes from `run`. */
  stop (): void
  close (): void
}

export function startLoad (): LoadProcess {
  const child = fork(fileURLToPath(new URL('load.ts', import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const send = (command: LoadCommand) => { child.send(command) }
  let waiting: { resolve: (reply: LoadReply) => void, reject: (error: Error) => void } | undefined
  child.on('message', reply => { waiting?.resolve(reply as LoadReply) })
  child.on('exit', () => { waiting?.reject(new Error('the load generator ended')) })
  const next = (): Promise<LoadReply> => new Promise((resolve, reject) => { waiting = { resolve, reject } })
  return {
    async plan (plan) {
      const ready = next()
      send({ kind: 'plan', plan })
      await ready
    },
    async run (until) {
      const result = next()
      send({ kind: 'run', ...until })
      const reply = await result
      if (reply.kind !== 'result') throw new Error('the load generator answered something else')
      return reply.result
    },
    stop: () => { send({ kind: 'stop' }) },
    close: () => { child.kill() }
  }
}
