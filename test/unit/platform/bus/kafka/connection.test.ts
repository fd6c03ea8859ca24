import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../../../../src/config/load.ts'
import { createTokenSource, kafkaConnectionOf } from '../../../../../src/platform/bus/kafka/connection.ts'
import { temporaryFolder } from '../../../../support/temporary-folder.ts'

let folder: string
beforeAll(() => { folder = temporaryFolder('kafka-connection') })
afterAll(() => { rmSync(folder, { recursive: true }) })

const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

test('brokers stand with commas between; without more there is neither TLS nor a login', () => {
  expect(kafkaConnectionOf(loadConfig({ OXBOW_KAFKA_BROKERS: 'a:9092, b:9093,' }))).toEqual({ brokers: ['a:9092', 'b:9093'] })
})

test('certificates are read from their files, a login is what it says', () => {
  const env = {
    OXBOW_KAFKA_BROKERS: 'a:1', OXBOW_KAFKA_TLS: 'on', OXBOW_KAFKA_CA_FILE: file('ca', 'CA'), OXBOW_KAFKA_CERT_FILE: file('cert', 'CERT'), OXBOW_KAFKA_KEY_FILE: file('key', 'KEY'),
    OXBOW_KAFKA_SASL: 'scram-sha-512', OXBOW_KAFKA_USERNAME: 'oxbow', OXBOW_KAFKA_PASSWORD: 'secret'
  }
  expect(kafkaConnectionOf(loadConfig(env))).toEqual({
    brokers: ['a:1'], tls: { ca: 'CA', cert: 'CERT', key: 'KEY' }, sasl: { mechanism: 'scram-sha-512', username: 'oxbow', password: 'secret' }
  })
})

test('a file that is not there is named by its setting, not by its place', () => {
  const config = loadConfig({ OXBOW_KAFKA_TLS: 'on', OXBOW_KAFKA_CA_FILE: join(folder, 'nowhere') })
  expect(() => kafkaConnectionOf(config)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: 'kafka.caFile cannot be read (ENOENT)' }))
})

interface Issuer { url: string, requests: { authorization: string | undefined, body: string }[], close (): void }

async function startIssuer (answer: (number: number) => { status: number, body: string }): Promise<Issuer> {
  const requests: Issuer['requests'] = []
  const text = async (request: IncomingMessage) => Buffer.concat(await request.toArray() as Buffer[]).toString()
  const server: Server = createServer((request, response) => {
    text(request).then(body => {
      const { status, body: sent } = answer(requests.push({ authorization: request.headers.authorization, body }))
      response.writeHead(status).end(sent)
    }, () => { response.destroy() })
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, requests, close: () => { server.close() } }
}

test('a token is asked for by client credentials and kept until shortly before its end', async () => {
  const issuer = await startIssuer(number => ({ status: 200, body: JSON.stringify({ access_token: `t${number}`, expires_in: 100 }) }))
  let now = 0
  const token = createTokenSource({ url: issuer.url, clientId: 'ox bow', secret: 's:1', scope: 'kafka', now: () => now })
  expect([await token(), await token()]).toEqual(['t1', 't1'])
  now = 69_999
  expect(await token()).toBe('t1')
  now = 70_000
  expect(await token()).toBe('t2')
  expect(issuer.requests[0]).toEqual({ authorization: `Basic ${Buffer.from('ox%20bow:s%3A1').toString('base64')}`, body: 'grant_type=client_credentials&scope=kafka' })
  issuer.close()
})

test.each([[401, '{}', /answered 401/], [200, '{}', /no access_token/], [200, 'no JSON', /no access_token/]])('an issuer that answers %i %s gives no token', async (status, body, message) => {
  const issuer = await startIssuer(() => ({ status, body }))
  await expect(createTokenSource({ url: issuer.url, clientId: 'a', secret: 'b', scope: '', now: () => 0 })()).rejects.toThrow(message)
  issuer.close()
})
