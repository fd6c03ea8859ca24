/** The load generator's own process: commands by IPC in, results out. */

import { createLoad, type Load, type LoadResult } from './load-run.ts'
import type { LoadPlan } from './plan.ts'

export type LoadCommand =
  | { kind: 'plan', plan: LoadPlan }
  | { kind: 'run', seconds?: number, postsPerGateway?: number }
  | { kind: 'stop' }

export type LoadReply = { kind: 'ready' } | { kind: 'result', result: LoadResult }

let load: Load | undefined

process.on('message', (command: LoadCommand) => {
  switch (command.kind) {
    case 'plan':
      load?.close()
      load = createLoad(command.plan)
      reply({ kind: 'ready' })
      break
    case 'run':
      void load!.run(command).then(result => { reply({ kind: 'result', result }) })
      break
    case 'stop':
      load?.stop()
  }
})
process.on('disconnect', () => process.exit(0))

function reply (message: LoadReply): void { process.send!(message) }
