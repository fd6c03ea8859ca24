import { expect, test } from 'vitest'
import { createTail, type Row } from '../../../../../src/platform/bus/embedded/tail.ts'

const row = (firstOffset: number, nextOffset: number, bytes = 10): Row => ({ firstOffset, nextOffset, bytes: Buffer.alloc(bytes) })
const budgetOf = (bytesMax: number) => ({ bytesMax, used: 0 })

test('a row is found by every offset in it, and by no other', () => {
  const tail = createTail(budgetOf(1_000))
  const rows = [row(5, 8), row(8, 9), row(9, 20)]
  for (const each of rows) tail.push(each)
  const found = Array.from({ length: 25 }, (_, offset) => rows.indexOf(tail.find(offset)!))
  expect(found).toEqual([-1, -1, -1, -1, -1, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, -1, -1, -1, -1, -1])
})

test('a row that does not follow on the last makes the tail begin anew', () => {
  const tail = createTail(budgetOf(1_000))
  tail.push(row(0, 5))
  tail.push(row(7, 9))
  expect(tail.find(0)).toBeUndefined()
  expect(tail.find(5)).toBeUndefined()
  expect(tail.find(7)).toBeDefined()
})

test('the oldest rows are given up when the budget is used, also for a row that is larger than all of it', () => {
  const budget = budgetOf(25)
  const tail = createTail(budget)
  for (let offset = 0; offset < 4; offset++) tail.push(row(offset, offset + 1))
  expect([0, 1, 2, 3].map(offset => tail.find(offset) !== undefined)).toEqual([false, false, true, true])
  tail.push(row(4, 5, 100))
  expect(tail.find(4)).toBeUndefined()
  expect(budget.used).toBe(0)
})

test('what is consumed is given up, a row only when all of it is', () => {
  const budget = budgetOf(1_000)
  const tail = createTail(budget)
  tail.push(row(0, 5))
  tail.push(row(5, 10))
  tail.dropBelow(9)
  expect(tail.find(4)).toBeUndefined()
  expect(tail.find(7)).toBeDefined()
  expect(budget.used).toBe(10)
  tail.dropBelow(10)
  expect(budget.used).toBe(0)
})

test('tails share one budget', () => {
  const budget = budgetOf(25)
  const [one, other] = [createTail(budget), createTail(budget)]
  one.push(row(0, 1))
  one.push(row(1, 2))
  other.push(row(0, 1))
  expect(budget.used).toBeLessThanOrEqual(25)
  expect(one.find(1)).toBeDefined()
})
