/** A TCP proxy before a Kafka broker that loses the answers to chosen produce requests: the broker has the records, the client never hears of it. */

import { createServer, connect, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface LossyProxy {
  port: number
  /** Produce requests seen so far. */
  produced (): number
  /** Answers lost so far. */
  lost (): number
  /** Loses the answers to the next so many produce requests, one in each `every`, and closes their connections. */
  lose (count: number, every: number): void
  /** Nothing passes any more, in either direction, and connections stay open. */
  freeze (): void
  thaw (): void
  close (): Promise<void>
}

const PRODUCE = 0
const HEAD_BYTES = 6

/** @param target port of the broker on this machine */
export async function startLossyProxy (target: () => number): Promise<LossyProxy> {
  const state = { produced: 0, lost: 0, left: 0, every: 1, isFrozen: false }
  const sockets = new Set<Socket>()
  const server: Server = createServer(client => {
    const broker = connect(target(), '127.0.0.1')
    let isCut = false
    const requests = requestKinds(kind => {
      if (kind !== PRODUCE) return
      state.produced++
      if (state.left > 0 && state.produced % state.every === 0) {
        state.left--
        isCut = true
      }
    })
    client.on('data', bytes => {
      requests(bytes)
      broker.write(bytes)
    })
    broker.on('data', bytes => {
      if (!isCut) { client.write(bytes); return }
      // The broker has answered, so it has the records.
      state.lost++
      client.destroy()
      broker.destroy()
    })
    for (const [one, other] of [[client, broker], [broker, client]] as const) {
      sockets.add(one)
      if (state.isFrozen) one.pause()
      one.on('error', () => {}).on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  return {
    port: (server.address() as AddressInfo).port,
    produced: () => state.produced,
    lost: () => state.lost,
    lose (count, every) { Object.assign(state, { left: count, every }) },
    freeze () {
      state.isFrozen = true
      for (const socket of sockets) socket.pause()
    },
    thaw () {
      state.isFrozen = false
      for (const socket of sockets) socket.resume()
    },
    async close () {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>(resolve => { server.close(() => { resolve() }) })
    }
  }
}

/** Bytes from a client, cut anyhow → the kind of each request in them: a length of four bytes, then the kind in two. */
function requestKinds (onRequest: (kind: number) => void): (bytes: Buffer) => void {
  let head = Buffer.alloc(0)
  let skip = 0
  return bytes => {
    let rest = bytes
    while (rest.length > 0) {
      const passed = Math.min(skip, rest.length)
      skip -= passed
      rest = rest.subarray(passed)
      const taken = Math.min(HEAD_BYTES - head.length, rest.length)
      head = Buffer.concat([head, rest.subarray(0, taken)])
      rest = rest.subarray(taken)
      if (head.length < HEAD_BYTES) return
      onRequest(head.readUInt16BE(4))
      skip = head.readUInt32BE(0) - 2
      head = Buffer.alloc(0)
    }
  }
}
