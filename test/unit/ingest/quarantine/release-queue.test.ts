import { expect, test } from 'vitest'
import { createReleaseQueue, type Queued } from '../../../../src/ingest/quarantine/release-queue.ts'

const entry = (name: string): Queued & { name: string } => ({ name, turn: undefined })

test('drains come first, then looks at known devices, then the others, each in order', () => {
  const queue = createReleaseQueue<Queued & { name: string }>()
  for (const [name, turn] of [['a', 'later'], ['b', 'soon'], ['c', 'drain'], ['d', 'soon']] as const) queue.add(entry(name), turn)
  const taken = Array.from({ length: 5 }, () => queue.take(['drain', 'soon', 'later'])?.name)
  expect(taken).toEqual(['c', 'b', 'd', 'a', undefined])
})

test('an entry moves forward, never back, and is taken once', () => {
  const queue = createReleaseQueue<Queued & { name: string }>()
  const moved = entry('a')
  queue.add(moved, 'later')
  queue.add(moved, 'drain')
  queue.add(moved, 'soon')
  expect(queue.take(['soon', 'later'])).toBeUndefined()
  expect(moved.turn).toBe('drain')
  expect(queue.take(['drain'])).toBe(moved)
  expect(queue.take(['drain', 'soon', 'later'])).toBeUndefined()
})

test('a line that is not asked keeps its entries; cleared, nothing is left', () => {
  const queue = createReleaseQueue<Queued & { name: string }>()
  const kept = entry('a')
  queue.add(kept, 'drain')
  expect(queue.take(['soon'])).toBeUndefined()
  queue.clear()
  expect([kept.turn, queue.take(['drain'])]).toEqual([undefined, undefined])
})
