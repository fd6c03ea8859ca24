import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import { createBoundedMemory } from '../../../src/security/bounded-memory.ts'

test('a value is given until its time', () => {
  let time = 1_000
  const memory = createBoundedMemory<string>({ sizeMax: 10, now: () => epochMs(time) })
  memory.set('a', 'first', 2_000)
  time = 1_999
  expect(memory.get('a')).toBe('first')
  time = 2_000
  expect(memory.get('a')).toBeUndefined()
  time = 1_999
  expect(memory.get('a')).toBeUndefined()
})

test('the value used longest ago is displaced', () => {
  const memory = createBoundedMemory<number>({ sizeMax: 2, now: () => epochMs(0) })
  memory.set('a', 1, 10)
  memory.set('b', 2, 10)
  memory.get('a')
  memory.set('c', 3, 10)
  expect([memory.get('a'), memory.get('b'), memory.get('c')]).toEqual([1, undefined, 3])
})

test('setting a name again replaces its value and displaces nothing', () => {
  const memory = createBoundedMemory<number>({ sizeMax: 2, now: () => epochMs(0) })
  memory.set('a', 1, 10)
  memory.set('b', 2, 10)
  memory.set('a', 3, 10)
  expect([memory.get('a'), memory.get('b')]).toEqual([3, 2])
})
