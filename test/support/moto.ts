/** A server that speaks the APIs of S3 and KMS, as a process of its own: each start has nothing in it, and nothing of it outlives the stop. */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../src/platform/postgres/postmaster.ts'
import { motoEnvironment } from './missing-moto.ts'

export interface Moto {
  /** `http://127.0.0.1:PORT`. */
  endpoint: string
  /** A login that may do what the policies say, once they are looked at. */
  createLogin (...policies: string[]): Promise<{ accessKeyId: string, secretAccessKey: string }>
  /** Every call needs a login that may; or none does, as at the start. */
  checkPolicies (areChecked: boolean): Promise<void>
  /** SIGSTOP and SIGCONT. */
  freeze (): void
  thaw (): void
  stop (): Promise<void>
}

/** What it is asked with; it takes any, until policies are checked. */
export const MOTO_LOGIN = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }

const START_TIMEOUT_MS = 60_000
const ASK_MS = 50

export async function startMoto (): Promise<Moto> {
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const child = spawn(motoEnvironment(), ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] })
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
    createLogin: (...policies) => createLogin(endpoint, policies),
    checkPolicies: async areChecked => { await fetch(`${endpoint}/moto-api/reset-auth`, { method: 'POST', body: areChecked ? '0' : 'inf' }) },
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

async function createLogin (endpoint: string, policies: readonly string[]): Promise<{ accessKeyId: string, secretAccessKey: string }> {
  const UserName = `user-${randomBytes(6).toString('hex')}`
  await askIam(endpoint, { Action: 'CreateUser', UserName })
  for (const [index, PolicyDocument] of policies.entries()) await askIam(endpoint, { Action: 'PutUserPolicy', UserName, PolicyName: `policy-${index}`, PolicyDocument })
  const answer = await askIam(endpoint, { Action: 'CreateAccessKey', UserName })
  const [, accessKeyId, secretAccessKey] = /<AccessKeyId>(.+?)<.*<SecretAccessKey>(.+?)</s.exec(answer)!
  return { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! }
}

/** The service is told by the scope of a signature, which is not looked at. */
async function askIam (endpoint: string, form: Record<string, string>): Promise<string> {
  const authorization = 'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none'
  const answer = await fetch(endpoint, { method: 'POST', headers: { authorization }, body: new URLSearchParams({ Version: '2010-05-08', ...form }) })
  if (!answer.ok) throw new Error(`${form['Action']}: ${await answer.text()}`)
  return answer.text()
}
