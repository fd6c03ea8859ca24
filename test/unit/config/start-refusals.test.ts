import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { startRefusals } from '../../../src/config/start-refusals.ts'

const KAFKA = { OXBOW_BUS_KIND: 'kafka', OXBOW_KAFKA_BROKERS: 'broker.example:9092' }
const PRODUCTION = { OXBOW_MODE: 'production', OXBOW_DEMO: 'off', OXBOW_KEYS_ALLOW_LOCAL: 'yes' }
const refusals = (env: Record<string, string>) => startRefusals(loadConfig(env), '/keys.json')

test('a development server on loopback may start as it is, and on Kafka', () => {
  expect(refusals({})).toEqual([])
  expect(refusals(KAFKA)).toEqual([])
})

test.each([
  ['Kafka without brokers', { OXBOW_BUS_KIND: 'kafka' }, /kafka\.brokers names none/],
  ['a broker without a port', { ...KAFKA, OXBOW_KAFKA_BROKERS: 'broker.example' }, /host:port/],
  ['brokers off loopback in production without TLS', { ...KAFKA, ...PRODUCTION }, /kafka\.tls is off/],
  ['a certificate without its key', { ...KAFKA, OXBOW_KAFKA_CERT_FILE: 'a.pem' }, /kafka\.keyFile is missing/],
  ['a key without its certificate', { ...KAFKA, OXBOW_KAFKA_KEY_FILE: 'a.pem' }, /kafka\.certFile is missing/],
  ['a login without a name', { ...KAFKA, OXBOW_KAFKA_SASL: 'plain', OXBOW_KAFKA_PASSWORD: 'p' }, /kafka\.username is missing/],
  ['a login without a password', { ...KAFKA, OXBOW_KAFKA_SASL: 'scram-sha-256', OXBOW_KAFKA_USERNAME: 'u' }, /kafka\.password is missing/],
  ['tokens from nowhere', { ...KAFKA, OXBOW_KAFKA_SASL: 'oauthbearer', OXBOW_KAFKA_USERNAME: 'u', OXBOW_KAFKA_PASSWORD: 'p' }, /kafka\.tokenUrl is missing/]
])('%s: one refusal', (_what, env, reason) => {
  expect(refusals(env)).toEqual([expect.stringMatching(reason)])
})

test.each([
  ['TLS', { OXBOW_KAFKA_TLS: 'on' }], ['a permission by name', { OXBOW_KAFKA_ALLOW_PLAIN: 'yes' }], ['brokers on loopback', { OXBOW_KAFKA_BROKERS: 'localhost:1,[::1]:2,127.0.0.1:3' }]
])('in production, %s is enough', (_what, env) => {
  expect(refusals({ ...KAFKA, ...PRODUCTION, ...env })).toEqual([])
})
