/** Every way to log in to a real broker, and what is said when it fails. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import type { Bus } from '../../../../../src/platform/bus/bus.ts'
import type { KafkaConnection } from '../../../../../src/platform/bus/kafka/client.ts'
import { openKafkaBus } from '../../../../../src/platform/bus/kafka/kafka-bus.ts'
import { freePort } from '../../../../../src/platform/postgres/postmaster.ts'
import { type Certificates, makeCertificates } from '../../../../support/certificates.ts'
import { type OwnBroker, plain, startBroker } from '../../../../support/kafka.ts'
import { missingBroker } from '../../../../support/missing-kafka.ts'
import { temporaryFolder } from '../../../../support/temporary-folder.ts'

const missing = missingBroker() ?? (spawnSync('openssl', ['version']).error === undefined || process.env['OXBOW_REQUIRE'] === 'all' ? undefined : 'openssl is not installed')
const TOPIC = 'test.login.v1'
const LISTENERS = ['SCRAM', 'LOGIN', 'OAUTH', 'MUTUAL'] as const
type Listener = (typeof LISTENERS)[number]

describe.skipIf(missing !== undefined)(`logging in to Kafka${missing === undefined ? '' : ` (${missing})`}`, () => {
  const ports = new Map<Listener, number>()
  const opened: Bus[] = []
  let broker: OwnBroker
  let pem: Certificates
  beforeAll(async () => {
    const folder = temporaryFolder('kafka')
    mkdirSync(join(folder, 'pem'))
    pem = makeCertificates(join(folder, 'pem'))
    for (const listener of LISTENERS) ports.set(listener, await freePort())
    broker = await startBroker({ folder, scram: ['oxbow=scram-secret'], properties: propertiesOf })
  }, 300_000)
  afterEach(async () => { await Promise.all(opened.splice(0).map(bus => bus.close())) })
  afterAll(async () => { await broker.stop() })

  function propertiesOf (port: number, controller: number): string[] {
    const [listeners, advertised] = plain(port, controller)
    const own = LISTENERS.map(name => `${name}://127.0.0.1:${ports.get(name)}`).join(',')
    const module = 'org.apache.kafka.common.security'
    return [
      `${listeners},${own}`,
      `${advertised},${own}`,
      'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SCRAM:SASL_SSL,LOGIN:SASL_SSL,OAUTH:SASL_SSL,MUTUAL:SSL',
      'listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512',
      ...['256', '512'].map(bits => `listener.name.scram.scram-sha-${bits}.sasl.jaas.config=${module}.scram.ScramLoginModule required;`),
      'listener.name.login.sasl.enabled.mechanisms=PLAIN',
      `listener.name.login.plain.sasl.jaas.config=${module}.plain.PlainLoginModule required user_oxbow="plain-secret";`,
      'listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER',
      `listener.name.oauth.oauthbearer.sasl.jaas.config=${module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
      'listener.name.mutual.ssl.client.auth=required',
      'ssl.keystore.type=PEM', `ssl.keystore.location=${pem.serverFile}`, 'ssl.truststore.type=PEM', `ssl.truststore.location=${pem.caFile}`
    ]
  }

  async function open (listener: Listener, rest: Omit<KafkaConnection, 'brokers'>): Promise<Bus> {
    const bus = await openKafkaBus({
      connection: { brokers: [`127.0.0.1:${ports.get(listener)}`], ...rest }, prefix: `login-${randomBytes(6).toString('hex')}.`, replicationFactor: 1,
      topics: [{ topic: TOPIC, partitions: 1 }], now: () => epochMs(Date.now())
    })
    opened.push(bus)
    return bus
  }

  async function passes (bus: Bus): Promise<void> {
    const consumer = await bus.consume({ topic: TOPIC, partitions: [0], resumeFrom: async () => new Map() })
    await bus.publish([{ topic: TOPIC, key: 'k', value: Buffer.from('in') }])
    const [batch] = await consumer.take(1)
    expect(String(batch?.records[0]?.value)).toBe('in')
  }

  /** A token that nobody signed, as a broker without an issuer takes it. */
  function unsignedToken (): string {
    const now = Math.floor(Date.now() / 1_000)
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    return `${part({ alg: 'none' })}.${part({ sub: 'oxbow', iat: now, exp: now + 600, scope: '' })}.`
  }

  test.each(['scram-sha-256', 'scram-sha-512'] as const)('%s over TLS', async mechanism => {
    await passes(await open('SCRAM', { tls: { ca: pem.ca }, sasl: { mechanism, username: 'oxbow', password: 'scram-secret' } }))
  })

  test('plain over TLS', async () => {
    await passes(await open('LOGIN', { tls: { ca: pem.ca }, sasl: { mechanism: 'plain', username: 'oxbow', password: 'plain-secret' } }))
  })

  test('oauthbearer over TLS', async () => {
    await passes(await open('OAUTH', { tls: { ca: pem.ca }, sasl: { mechanism: 'oauthbearer', token: async () => unsignedToken() } }))
  })

  test('a certificate of ours (mutual TLS)', async () => {
    await passes(await open('MUTUAL', { tls: { ca: pem.ca, ...pem.client } }))
  })

  test.each<[string, Listener, () => Omit<KafkaConnection, 'brokers'>, RegExp]>([
    ['a wrong password (scram)', 'SCRAM', () => ({ tls: { ca: pem.ca }, sasl: { mechanism: 'scram-sha-256', username: 'oxbow', password: 'no' } }), /[Aa]uthentication/],
    ['a wrong password (plain)', 'LOGIN', () => ({ tls: { ca: pem.ca }, sasl: { mechanism: 'plain', username: 'oxbow', password: 'no' } }), /[Aa]uthentication/],
    ['an authority that is not known', 'SCRAM', () => ({ tls: {}, sasl: { mechanism: 'scram-sha-256', username: 'oxbow', password: 'scram-secret' } }), /certificate/],
    ['no certificate of ours', 'MUTUAL', () => ({ tls: { ca: pem.ca } }), /certificate|[Cc]losed connection|alert/]
  ])('%s: the start fails and says so, without the secret', async (_what, listener, rest, message) => {
    const error = await open(listener, rest()).then(() => undefined, (failure: unknown) => failure)
    expect(error).toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE', message: expect.stringMatching(message) })
    expect(String((error as Error).message)).not.toContain('scram-secret')
  })
})
