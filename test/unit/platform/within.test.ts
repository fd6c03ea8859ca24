import { expect, test } from 'vitest'
import { within } from '../../../src/platform/within.ts'

test('work that ends is waited for', async () => {
  let isDone = false
  await within(60_000, new Promise(resolve => { setImmediate(resolve) }).then(() => { isDone = true }))
  expect(isDone).toBe(true)
})

test('work that never ends is not, and what fails is no error', async () => {
  await within(1, new Promise(() => {}))
  await within(60_000, Promise.reject(new Error('no')))
})
