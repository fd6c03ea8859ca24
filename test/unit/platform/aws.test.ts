import { expect, test } from 'vitest'
import { clientOptions, reasonOf } from '../../../src/platform/aws.ts'

const NOTHING = { region: '', endpoint: '', accessKeyId: '', secretAccessKey: '' }

test('what is not set is left to the SDK', () => {
  expect(Object.keys(clientOptions(NOTHING, 1_000))).toEqual(['maxAttempts', 'requestHandler'])
  expect(clientOptions({ region: 'r', endpoint: 'http://e', accessKeyId: 'a', secretAccessKey: 's' }, 1_000)).toMatchObject({ region: 'r', endpoint: 'http://e', credentials: { accessKeyId: 'a', secretAccessKey: 's' } })
})

test('every try is bounded', () => {
  expect(clientOptions(NOTHING, 1_234)).toMatchObject({ maxAttempts: 3, requestHandler: { connectionTimeout: 3_000, requestTimeout: 1_234, throwOnRequestTimeout: true } })
})

const named = (name: string, fields: object = {}) => Object.assign(new Error('canary'), { name }, fields)

test.each([
  [named('AccessDeniedException'), 'this login may not do that'],
  [named('Own'), 'our own words'],
  [named('CredentialsProviderError'), 'no credentials were found'],
  [named('TimeoutError', { code: 'ETIMEDOUT' }), 'no answer'],
  [named('Error', { code: 'ECONNREFUSED' }), 'nothing listens there'],
  [named('Error', { code: 'EOTHER' }), 'EOTHER'],
  [named('SomethingElse'), 'SomethingElse'],
  [new Error('Region is missing'), 'no region was found, or one that is none'],
  [new Error('Region not accepted: region="canary" is not a valid hostname component.'), 'no region was found, or one that is none'],
  [new Error('Checksum mismatch: expected "a" but received "b"'), 'what arrived is not what is stored'],
  [named('Unknown', { $metadata: { httpStatusCode: 403 } }), 'this login may not do that'],
  [new Error('canary'), 'unknown'],
  ['canary', 'unknown']
])('%o in words', (error, words) => {
  expect(reasonOf(error, { Own: 'our own words' })).toBe(words)
})
