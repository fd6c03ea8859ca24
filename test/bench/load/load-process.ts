/** The load generator as the harness holds it: a process of its own, so that its CPU is told apart. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
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
  const next = async (): Promise<LoadReply> => {
    const ended = once(child, 'exit').then(() => { throw new Error('the load generator ended') })
    const [reply] = await Promise.race([once(child, 'message'), ended]) as [LoadReply]
    return reply
  }
  return {
    async plan (plan) {
      send({ kind: 'plan', plan })
      await next()
    },
    async run (until) {
      send({ kind: 'run', ...until })
      const reply = await next()
      if (reply.kind !== 'result') throw new Error('the load generator answered something else')
      return reply.result
    },
    stop: () => { send({ kind: 'stop' }) },
    close: () => { child.kill() }
  }
}
