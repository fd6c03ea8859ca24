/** A server that speaks the APIs of S3 and KMS, as a process of its own: each start has nothing in it, and nothing of it outlives the stop. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../src/platform/postgres/postmaster.ts'
import { motoEnvironment } from './missing-moto.ts'

export interface Moto {
  /** `http://127.0.0.1:PORT`. */
  endpoint: string
  /** SIGSTOP and SIGCONT. */
  freeze (): void
  thaw (): void
  stop (): Promise<void>
}

/** What it is asked with; it takes any, unless it was told to check. */
export const MOTO_LOGIN = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }

const START_TIMEOUT_MS = 60_000
const ASK_MS = 50

/** @param env of its process; `INITIAL_NO_AUTH_ACTION_COUNT=n`: after n calls it checks logins against their policies */
export async function startMoto (env: Readonly<Record<string, string>> = {}): Promise<Moto> {
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const child = spawn(motoEnvironment(), ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-4_000) })
  const onExit = (): void => { child.kill('SIGKILL') }
  process.once('exit', onExit)
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!await answers(endpoint)) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the server of S3 and KMS did not start: ${said}`)
    }
    await delay(ASK_MS)
  }
  return {
    endpoint,
    freeze: () => { child.kill('SIGSTOP') },
    thaw: () => { child.kill('SIGCONT') },
    async stop () {
      process.off('exit', onExit)
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
  }
}

/** Its own page, which counts as no call. */
async function answers (endpoint: string): Promise<boolean> {
  try {
    return (await fetch(`${endpoint}/moto-api/data.json`, { signal: AbortSignal.timeout(2_000) })).ok
  } catch {
    return false
  }
}
