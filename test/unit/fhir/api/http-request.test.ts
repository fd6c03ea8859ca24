import { expect, test } from 'vitest'
import { acceptsJson, parseJsonBody, parsePrefer } from '../../../../src/fhir/api/http-request.ts'

test('known preferences are read, others ignored', () => {
  expect(parsePrefer(undefined)).toEqual({ lenient: false })
  expect(parsePrefer('return=minimal, handling=lenient')).toEqual({ return: 'minimal', lenient: true })
  expect(parsePrefer('return=representation; handling=strict')).toEqual({ return: 'representation', lenient: false })
  expect(parsePrefer('respond-async, return=everything')).toEqual({ lenient: false })
})

test('JSON is given to whoever takes it', () => {
  for (const accept of [undefined, '', '*/*', 'application/*', 'application/fhir+json', 'application/json', 'text/html, */*;q=0.1', 'application/fhir+json; fhirVersion=4.0']) expect([accept, acceptsJson(accept, undefined)]).toEqual([accept, true])
  for (const accept of ['application/fhir+xml', 'text/html', 'application/fhir+json;q=0', 'application/fhir+json; fhirVersion=5.0']) expect([accept, acceptsJson(accept, undefined)]).toEqual([accept, false])
})

test('_format outranks Accept', () => {
  expect(acceptsJson('text/html', 'json')).toBe(true)
  expect(acceptsJson('application/json', 'xml')).toBe(false)
  // The plus of application/fhir+json arrives as a space when it was not escaped.
  expect(acceptsJson(undefined, 'application/fhir json')).toBe(true)
})

test('a body is JSON of reasonable depth', () => {
  expect(parseJsonBody('{"a":["[[[","\\"["]}')).toEqual({ a: ['[[[', '"['] })
  for (const text of ['', '{', '{"a":NaN}', '['.repeat(1_000_000)]) expect(() => parseJsonBody(text)).toThrow(expect.objectContaining({ code: 'INPUT_UNREADABLE' }))
})

test('a body in which an object has a key twice is refused', () => {
  const body = '{"a":{"b":":","c":[{"b":1},{"b":2}]},"__proto__":{"toString":1},"\\u0062":1,"":null}'
  expect(parseJsonBody(body)).toEqual(JSON.parse(body))
  for (const text of ['{"a":1,"a":1}', '{"x":[{"id":"1","id":"2"}]}', '{"a":1,"\\u0061":2}', '{"__proto__":1,"__proto__":2}', '[[{"a":{},"a":{}}]]']) {
    expect(() => parseJsonBody(text), text).toThrow(expect.objectContaining({ code: 'INPUT_UNREADABLE', message: expect.stringContaining('twice') as string }))
  }
})
