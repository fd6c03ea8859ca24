/** A small registry as others have them, in memory: the two questions that are asked of one, and what may go wrong. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ExternalEntry { schema: string, schemaType?: string, references?: object[], versions?: { subject: string, version: number }[] }

export interface ExternalRegistry {
  url: string
  entries: Map<number, ExternalEntry>
  /** Answered to every question instead; 0: the connection breaks. */
  fault: number | undefined
  /** Does not know where a schema is registered. */
  isOld: boolean
  asked: string[]
  authorizations: Set<string | undefined>
  close (): Promise<void>
}

export async function startExternalRegistry (): Promise<ExternalRegistry> {
  const server = createServer((request, response) => {
    registry.asked.push(request.url!)
    registry.authorizations.add(request.headers.authorization)
    if (registry.fault === 0) {
      request.socket.destroy()
      return
    }
    const [status, body] = registry.fault === undefined ? answer(request.url!) : [registry.fault, { error_code: registry.fault * 100, message: 'not now' }]
    response.writeHead(status, { 'Content-Type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(body))
  })
  const answer = (path: string): [number, unknown] => {
    const [, id, more] = /^\/base\/schemas\/ids\/(\d+)(\/versions\?deleted=true)?$/.exec(path) ?? []
    const entry = registry.entries.get(Number(id))
    if (entry === undefined || (more !== undefined && registry.isOld)) return [404, { error_code: 40403, message: 'Schema not found' }]
    const { versions = [], ...schema } = entry
    return [200, more === undefined ? schema : versions]
  }
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const registry: ExternalRegistry = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`, entries: new Map(), fault: undefined, isOld: false, asked: [], authorizations: new Set(),
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => { server.close(resolve) })
    }
  }
  return registry
}
