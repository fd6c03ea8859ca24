import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { sendHttp } from '../../../src/platform/http-client.ts'

const LIMITS = { timeoutMs: 5_000, responseBytesMax: 1_000 }
let server: Server | undefined

afterEach(async () => {
  server?.closeAllConnections()
  await new Promise<void>(resolve => { server === undefined ? resolve() : server.close(() => { resolve() }) })
  server = undefined
})

async function serve (listener: RequestListener): Promise<string> {
  server = createServer(listener)
  await new Promise<void>(resolve => { server!.listen(0, '127.0.0.1', resolve) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('any status but a redirect is an answer, with its headers and text', async () => {
  const url = await serve((_request, response) => { response.writeHead(503, { 'retry-after': '7' }).end('busy') })
  const answer = await sendHttp({ method: 'GET', url }, LIMITS)
  expect([answer.status, answer.header('Retry-After'), answer.text]).toEqual([503, '7', 'busy'])
})

test('a redirect is refused, and not followed', async () => {
  let requests = 0
  const url = await serve((_request, response) => {
    requests++
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  await expect(sendHttp({ method: 'POST', url, body: '{}' }, LIMITS)).rejects.toMatchObject({ code: 'HTTP_REFUSED' })
  expect(requests).toBe(1)
})

test('a larger answer than allowed is cut off', async () => {
  const url = await serve((_request, response) => { response.end('x'.repeat(2_000)) })
  await expect(sendHttp({ method: 'GET', url }, LIMITS)).rejects.toMatchObject({ code: 'HTTP_UNREACHABLE' })
})

test('no answer in time, and nobody there, are one error: the request may have arrived', async () => {
  const url = await serve(() => { /* never answers */ })
  await expect(sendHttp({ method: 'GET', url }, { ...LIMITS, timeoutMs: 50 })).rejects.toMatchObject({ code: 'HTTP_UNREACHABLE' })
  await expect(sendHttp({ method: 'GET', url: 'http://127.0.0.1:1/' }, LIMITS)).rejects.toMatchObject({ code: 'HTTP_UNREACHABLE' })
})

test('other schemes and addresses that are not on the list are not called', async () => {
  await expect(sendHttp({ method: 'GET', url: 'file:///etc/passwd' }, LIMITS)).rejects.toMatchObject({ code: 'HTTP_REFUSED' })
  const url = await serve((_request, response) => { response.end('there') })
  await expect(sendHttp({ method: 'GET', url }, { ...LIMITS, allowedOrigins: new Set(['https://ehr.example']) })).rejects.toMatchObject({ code: 'HTTP_REFUSED' })
  expect((await sendHttp({ method: 'GET', url: `${url}/path` }, { ...LIMITS, allowedOrigins: new Set([url]) })).text).toBe('there')
})
