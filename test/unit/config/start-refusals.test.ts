import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { startRefusals } from '../../../src/config/start-refusals.ts'

const KAFKA = { OXBOW_BUS_KIND: 'kafka', OXBOW_KAFKA_BROKERS: 'broker.example:9092' }
const PRODUCTION = { OXBOW_MODE: 'production', OXBOW_DEMO: 'off', OXBOW_KEYS_ALLOW_LOCAL: 'yes' }
const KMS_KEYS = { linkage: ['a'], archive: ['b'], audit: ['c'], quarantine: ['d'], delivery: ['e'], release: ['f'] }
const KMS = { OXBOW_KEYS_KIND: 'kms', OXBOW_KMS_KEYS: JSON.stringify(KMS_KEYS) }
const S3 = { OXBOW_ARCHIVE_STORE: 's3', OXBOW_S3_BUCKET: 'b' }
const refusals = (env: Record<string, string>) => startRefusals(loadConfig(env), '/keys.json')

test('a development server on loopback may start as it is, and on Kafka', () => {
  expect(refusals({})).toEqual([])
  expect(refusals(KAFKA)).toEqual([])
  expect(refusals({ ...KAFKA, OXBOW_ROLES: 'stream' })).toEqual([])
})

test.each([
  ['a server of role stream on the embedded bus', { OXBOW_ROLES: 'stream' }, /bus\.kind is embedded.*set bus\.kind to kafka/],
  ['Kafka without brokers', { OXBOW_BUS_KIND: 'kafka' }, /kafka\.brokers names none/],
  ['a broker without a port', { ...KAFKA, OXBOW_KAFKA_BROKERS: 'broker.example' }, /host:port/],
  ['brokers off loopback in production without TLS', { ...KAFKA, ...PRODUCTION }, /kafka\.tls is off/],
  ['a certificate without its key', { ...KAFKA, OXBOW_KAFKA_CERT_FILE: 'a.pem' }, /kafka\.keyFile is missing/],
  ['a key without its certificate', { ...KAFKA, OXBOW_KAFKA_KEY_FILE: 'a.pem' }, /kafka\.certFile is missing/],
  ['a login without a name', { ...KAFKA, OXBOW_KAFKA_SASL: 'plain', OXBOW_KAFKA_PASSWORD: 'p' }, /kafka\.username is missing/],
  ['a login without a password', { ...KAFKA, OXBOW_KAFKA_SASL: 'scram-sha-256', OXBOW_KAFKA_USERNAME: 'u' }, /kafka\.password is missing/],
  ['a topic of devices that is named twice', { ...KAFKA, OXBOW_INGEST_TOPICS: '[{"topic": "a", "content": "json"}, {"topic": "a", "content": "confluent"}]' }, /ingest\.topics names a more than once/],
  ["a topic of Oxbow's own as one of devices", { ...KAFKA, OXBOW_KAFKA_TOPIC_PREFIX: 'w.', OXBOW_INGEST_TOPICS: '[{"topic": "w.oxbow.raw.v1", "content": "json"}]' }, /ingest\.topics names w\.oxbow\.raw\.v1, a topic of Oxbow's own/],
  ['a burst that holds no whole request', { OXBOW_INGEST_RATE_PER_DEVICE: '{"perSecond": 10, "burst": 9999}' }, /^ingest\.ratePerDevice: burst is below ingest\.recordsMax/],
  ['tokens from nowhere', { ...KAFKA, OXBOW_KAFKA_SASL: 'oauthbearer', OXBOW_KAFKA_USERNAME: 'u', OXBOW_KAFKA_PASSWORD: 'p' }, /kafka\.tokenUrl is missing/]
])('%s: one refusal', (_what, env, reason) => {
  expect(refusals(env)).toEqual([expect.stringMatching(reason)])
})

test('limits of senders are refused only where a full request could never come through', () => {
  const rate = '{"perSecond": 10, "burst": 500}'
  expect(refusals({ OXBOW_INGEST_RECORDS_MAX: '500', OXBOW_INGEST_RATE_PER_DEVICE: rate, OXBOW_INGEST_RATE_PER_GATEWAY: rate })).toEqual([])
  expect(refusals({ OXBOW_INGEST_RATE_PER_DEVICE: 'null' })).toEqual([])
})

test.each([
  ['TLS', { OXBOW_KAFKA_TLS: 'on' }], ['a permission by name', { OXBOW_KAFKA_ALLOW_PLAIN: 'yes' }], ['brokers on loopback', { OXBOW_KAFKA_BROKERS: 'localhost:1,[::1]:2,127.0.0.1:3' }]
])('in production, %s is enough', (_what, env) => {
  expect(refusals({ ...KAFKA, ...PRODUCTION, ...env })).toEqual([])
})

test.each([['in production', { OXBOW_MODE: 'production' }], ['off loopback', { OXBOW_HTTP_HOST: '0.0.0.0', OXBOW_HTTP_ALLOW_PLAIN: 'yes' }]])('%s keys in a file are refused unless they are allowed by name; keys in KMS are not', (_where, env) => {
  const place = { ...env, OXBOW_DEMO: 'off' }
  expect(refusals(place)).toEqual([expect.stringMatching(/the local key ring is refused .* unless keys\.allowLocal is yes/)])
  expect(refusals({ ...place, OXBOW_KEYS_KIND: 'local' })).toHaveLength(1)
  expect(refusals({ ...place, OXBOW_KEYS_ALLOW_LOCAL: 'yes' })).toEqual([])
  expect(refusals({ ...place, ...KMS })).toEqual([])
})

test.each([
  ['KMS without a key for each store', { ...KMS, OXBOW_KMS_KEYS: JSON.stringify({ ...KMS_KEYS, audit: undefined, release: undefined }) }, /kms\.keys names no key for audit, release/],
  ['an access key without its secret', { ...KMS, OXBOW_KMS_ACCESS_KEY_ID: 'a' }, /kms\.secretAccessKey is missing/],
  ['a secret without its access key', { ...KMS, OXBOW_KMS_SECRET_ACCESS_KEY: 'a' }, /kms\.accessKeyId is missing/],
  ['an address that is none', { ...KMS, OXBOW_KMS_ENDPOINT: 'kms.example' }, /kms\.endpoint must be an address/],
  ['an archive in no bucket', { ...S3, OXBOW_S3_BUCKET: '' }, /s3\.bucket is missing/],
  ['an access key of S3 without its secret', { ...S3, OXBOW_S3_ACCESS_KEY_ID: 'a' }, /s3\.secretAccessKey is missing/],
  ['an archive over plain HTTP in production', { ...S3, ...PRODUCTION, OXBOW_S3_ENDPOINT: 'http://s3.example' }, /s3\.endpoint is plain HTTP off loopback/],
  ['data keys over plain HTTP in production', { ...KMS, ...PRODUCTION, OXBOW_KMS_ENDPOINT: 'http://kms.example' }, /kms\.endpoint is plain HTTP off loopback/]
])('%s: one refusal', (_what, env, reason) => {
  expect(refusals(env)).toEqual([expect.stringMatching(reason)])
})

test('settings of KMS and S3 are not looked at while they are not chosen', () => {
  expect(refusals({ OXBOW_KMS_ENDPOINT: 'kms.example', OXBOW_KMS_ACCESS_KEY_ID: 'a', OXBOW_S3_ENDPOINT: 's3.example' })).toEqual([])
  expect(refusals(S3)).toEqual([])
})

test.each([
  ['no address', { OXBOW_SCHEMAS_REGISTRY: 'registry' }, /schemas\.registry must be built-in, or an http/],
  ['another protocol', { OXBOW_SCHEMAS_REGISTRY: 'ftp://registry.example' }, /schemas\.registry must be built-in/],
  ['a user in the address', { OXBOW_SCHEMAS_REGISTRY: 'https://u:p@registry.example' }, /schemas\.registry must be built-in/],
  ['two ways to log in', { OXBOW_SCHEMAS_REGISTRY: 'https://registry.example', OXBOW_SCHEMAS_TOKEN: 't', OXBOW_SCHEMAS_USERNAME: 'u' }, /are both set/],
  ['plain HTTP in production', { ...PRODUCTION, OXBOW_SCHEMAS_REGISTRY: 'http://registry.example:8081' }, /use https/]
])('an external schema registry with %s: one refusal', (_what, env, reason) => {
  expect(refusals(env)).toEqual([expect.stringMatching(reason)])
})

test('an external schema registry over https, or on loopback, may be', () => {
  expect(refusals({ ...PRODUCTION, OXBOW_SCHEMAS_REGISTRY: 'https://registry.example' })).toEqual([])
  expect(refusals({ ...PRODUCTION, OXBOW_SCHEMAS_REGISTRY: 'http://127.0.0.1:8081' })).toEqual([])
})
