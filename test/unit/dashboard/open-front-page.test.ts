import { expect, test } from 'vitest'
import { statusOf } from '../../../src/dashboard/open-front-page.ts'

const sources = { backlog: () => 1, postgresKind: 'embedded', writerCount: 2, destinationCount: 0 } as const
const states = (...given: Parameters<typeof statusOf> extends [infer M, infer A, unknown] ? [M, A] : never) =>
  Object.fromEntries(statusOf(...given, sources).parts.map(({ name, state }) => [name, state]))

test('without alarms every part runs', () => {
  expect(new Set(Object.values(states([], [])))).toEqual(new Set(['up']))
  expect(statusOf([], [], sources).parts.find(({ name }) => name === 'Bus')!.detail).toBe('1 record waiting')
})

test('an alarm shows at the part it belongs to', () => {
  expect(states(['postgres'], ['bus-failed'])).toMatchObject({ PostgreSQL: 'down', Bus: 'down', Stream: 'up' })
  expect(states([], ['stream-stopped', 'egress-failing', 'quarantine-full'])).toMatchObject({ Stream: 'down', 'Bundle egress': 'behind', Quarantine: 'down', Stores: 'up' })
})
