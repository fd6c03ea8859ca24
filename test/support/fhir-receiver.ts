/** A small FHIR server as other systems have them: transactions all or nothing, conditional create, update and references, in memory. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type Resource = Record<string, unknown> & { resourceType: string, id?: string, identifier?: { system: string, value: string }[], subject?: { reference?: string } }
interface Entry { fullUrl: string, resource: Resource, request: { method: string, url: string, ifNoneExist?: string } }

/** What happens to the next request: `lost`: it is done, and the connection breaks before the answer. */
export type Fault = 'ok' | 'lost' | 'cut' | 500 | 503 | 429

export interface FhirReceiver {
  url: string
  resources (type: string): Resource[]
  addPatient (system: string, value: string): void
  /** Called for each transaction. */
  onTransaction: (place: number) => Fault
  /** Authorization headers seen. */
  authorizations: Set<string | undefined>
  /** Entries of each transaction received. */
  sizes: number[]
  close (): Promise<void>
}

export async function startReceiver (): Promise<FhirReceiver> {
  let store = new Map<string, Resource>()
  let nextId = 1
  const receiver: Omit<FhirReceiver, 'url' | 'close'> = {
    resources: type => [...store.values()].filter(resource => resource.resourceType === type),
    addPatient: (system, value) => { put(store, { resourceType: 'Patient', identifier: [{ system, value }] }) },
    onTransaction: () => 'ok',
    authorizations: new Set(),
    sizes: []
  }

  function put (into: Map<string, Resource>, resource: Resource, id = String(nextId++)): string {
    into.set(`${resource.resourceType}/${id}`, { ...resource, id })
    return `${resource.resourceType}/${id}`
  }

  function matches (of: Map<string, Resource>, query: string): string[] {
    const [type, search] = query.split('?') as [string, string]
    const [system, value] = new URLSearchParams(search).get('identifier')!.split('|')
    return [...of].filter(([, one]) => one.resourceType === type && one.identifier?.some(name => name.system === system && name.value === value)).map(([key]) => key)
  }

  function transact (entries: Entry[]): { status: number, body: object } {
    const draft = new Map(store)
    const locations = new Map<string, string>()
    const answers: object[] = []
    // R4, transaction rules: identities must not overlap.
    if (new Set(entries.map(({ fullUrl }) => fullUrl)).size < entries.length) return { status: 400, body: { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'duplicate' }] } }
    for (const { fullUrl, resource, request } of entries) {
      const subject = resource.subject?.reference
      if (subject?.startsWith('Patient?') && matches(draft, subject).length !== 1) return { status: 412, body: { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'multiple-matches', diagnostics: 'a name' }] } }
      const query = request.method === 'PUT' ? request.url : `${request.url}?${request.ifNoneExist ?? ''}`
      const found = request.method === 'PUT' || request.ifNoneExist !== undefined ? matches(draft, query) : []
      if (found.length > 1) return { status: 412, body: { resourceType: 'OperationOutcome', issue: [{ code: 'multiple-matches' }] } }
      const location = found[0] === undefined ? put(draft, resource) : request.method === 'PUT' ? put(draft, resource, found[0].split('/')[1]) : found[0]
      locations.set(fullUrl, location)
      answers.push({ response: { status: found[0] === undefined ? '201 Created' : '200 OK', location: `${location}/_history/1` } })
    }
    for (const location of locations.values()) {
      const text = JSON.stringify(draft.get(location)).replaceAll(/urn:uuid:[0-9a-f-]{36}/g, urn => locations.get(urn) ?? 'dangling')
      draft.set(location, JSON.parse(text) as Resource)
    }
    store = draft
    return { status: 200, body: { resourceType: 'Bundle', type: 'transaction-response', entry: answers } }
  }

  let transactions = 0
  async function handle (request: IncomingMessage, response: ServerResponse): Promise<void> {
    receiver.authorizations.add(request.headers.authorization)
    const body = await text(request)
    const answer = (status: number, content: object) => { response.writeHead(status, { 'content-type': 'application/fhir+json' }).end(JSON.stringify(content)) }
    if (request.method === 'GET') {
      const found = matches(store, request.url!.slice('/fhir/'.length)).map(key => ({ resource: store.get(key) }))
      answer(200, { resourceType: 'Bundle', type: 'searchset', entry: found })
      return
    }
    const fault = receiver.onTransaction(transactions++)
    if (fault === 'cut') return void request.socket.destroy()
    if (typeof fault === 'number') return answer(fault, { resourceType: 'OperationOutcome', issue: [{ code: 'transient' }] })
    const entries = (JSON.parse(body) as { entry: Entry[] }).entry
    receiver.sizes.push(entries.length)
    const { status, body: content } = transact(entries)
    if (fault === 'lost') return void request.socket.destroy()
    answer(status, content)
  }

  const server: Server = createServer((request, response) => { handle(request, response).catch(error => { response.destroy(error as Error) }) })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir`
  return Object.assign(receiver, {
    url,
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => { server.close(resolve) })
    }
  })
}

async function text (request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
