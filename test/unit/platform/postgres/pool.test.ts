import { expect, test } from 'vitest'
import { ServiceError } from '../../../../src/model/errors.ts'
import { asStoreError, isConnectionError } from '../../../../src/platform/postgres/pool.ts'

const withCode = (code: string) => Object.assign(new Error('x'), { code })

test.each(['08006', '57P01', '57P02', '57P03', '53300', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'])('%s says that the connection failed', code => {
  expect(isConnectionError(withCode(code))).toBe(true)
})

test.each(['Connection terminated unexpectedly', 'Connection terminated', 'timeout exceeded when trying to connect'])('%j says that the connection failed', message => {
  expect(isConnectionError(new Error(message))).toBe(true)
})

test.each(['23505', '40001', '42501', '57014', 'ENOENT'])('%s does not', code => {
  expect(isConnectionError(withCode(code))).toBe(false)
})

test('a failed connection becomes a store that is unavailable, with the time of a retry; any other error stays', () => {
  expect(asStoreError(withCode('08006'))).toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE', retryAfterS: expect.any(Number) })
  const unique = withCode('23505')
  expect(asStoreError(unique)).toBe(unique)
  const own = new ServiceError('busy', 'BUS_FULL', 'Connection terminated')
  expect(asStoreError(own)).toBe(own)
})
