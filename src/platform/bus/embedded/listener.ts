/** A connection that LISTENs and, when it breaks, connects again by itself. */

import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'

export interface ListenerOptions {
  url: string
  channel: string
  onNotify: (payload: string) => void
  /** Called each time it begins to listen: what was notified before was missed. */
  onListening: () => void
  onBroken: () => void
  /** First and longest wait before connecting again. */
  retryMinMs: number
  retryMaxMs: number
}

const CONNECT_TIMEOUT_MS = 5_000

/** Stops listening. */
export type StopListening = () => Promise<void>

export function listen (options: ListenerOptions): StopListening {
  const stop = new AbortController()
  const done = keepListening(options, stop.signal)
  return async () => {
    stop.abort()
    await done
  }
}

async function keepListening (options: ListenerOptions, signal: AbortSignal): Promise<void> {
  let waitMs = options.retryMinMs
  while (!signal.aborted) {
    const listened = await listenOnce(options, signal)
    if (signal.aborted) return
    options.onBroken()
    waitMs = listened ? options.retryMinMs : Math.min(waitMs * 2, options.retryMaxMs)
    await delay(waitMs, undefined, { signal, ref: false }).catch(() => {})
  }
}

/** Resolves when the connection has ended. @returns whether it had begun to listen */
async function listenOnce (options: ListenerOptions, signal: AbortSignal): Promise<boolean> {
  const client = new Client({
    connectionString: options.url, application_name: 'oxbow bus listener', keepAlive: true, connectionTimeoutMillis: CONNECT_TIMEOUT_MS
  })
  let listening = false
  const ended = new Promise<void>(resolve => { client.once('end', resolve) })
  const end = () => { client.end().catch(() => {}) }
  client.on('error', end)
  client.on('notification', ({ payload }) => { options.onNotify(payload ?? '') })
  try {
    // Not ended while it connects: the driver would then never settle.
    await client.connect()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    await client.query(`LISTEN ${client.escapeIdentifier(options.channel)}`)
    listening = true
    if (!signal.aborted) options.onListening()
    await ended
  } catch {
    end()
  } finally {
    signal.removeEventListener('abort', end)
  }
  return listening
}
