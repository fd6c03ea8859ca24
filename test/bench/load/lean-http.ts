/** One keep-alive connection that sends whole requests and gives status and body of the answer. Reads `Content-Length` answers only: it is made to cost little. */

import { connect, type Socket } from 'node:net'

/** A server that says nothing for so long has failed. */
const SILENCE_MAX_MS = 30_000

export interface LeanConnection {
  /** One request at a time. Rejects when the connection breaks. */
  send (request: Buffer): Promise<{ status: number, body: string }>
  close (): void
}

export function leanConnection (url: string): LeanConnection {
  const { hostname, port } = new URL(url)
  let socket: Socket | undefined
  let received = ''
  let waiting: { resolve: (answer: { status: number, body: string }) => void, reject: (error: Error) => void } | undefined

  function settle (error: Error): void {
    const { reject } = waiting ?? {}
    waiting = undefined
    received = ''
    reject?.(error)
  }
  function open (): Socket {
    const opened = connect({ host: hostname, port: Number(port), noDelay: true })
    opened.on('data', chunk => {
      received += chunk.toString('latin1')
      const answer = answerIn(received)
      if (answer === undefined || waiting === undefined) return
      const { resolve } = waiting
      waiting = undefined
      received = ''
      resolve(answer)
    })
    opened.setTimeout(SILENCE_MAX_MS, () => { opened.destroy() })
    opened.on('error', () => { /* 'close' follows */ })
    opened.on('close', () => {
      if (socket === opened) socket = undefined
      settle(new Error('the connection was closed'))
    })
    return opened
  }
  return {
    send: request => new Promise((resolve, reject) => {
      socket ??= open()
      waiting = { resolve, reject }
      socket.write(request)
    }),
    close: () => {
      waiting = undefined
      socket?.destroy()
    }
  }
}

const END_OF_HEAD = '\r\n\r\n'

/** `undefined`: not all of it is there yet. */
function answerIn (text: string): { status: number, body: string } | undefined {
  const headEnd = text.indexOf(END_OF_HEAD)
  if (headEnd < 0) return undefined
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, headEnd))?.[1] ?? 0)
  const bodyAt = headEnd + END_OF_HEAD.length
  if (text.length - bodyAt < length) return undefined
  return { status: Number(text.slice(9, 12)), body: text.slice(bodyAt, bodyAt + length) }
}
