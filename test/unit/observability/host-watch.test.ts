import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startHostWatch } from '../../../src/observability/host-watch.ts'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

test('each topic has its own alarm at half of its own limit, raised once and cleared once', () => {
  const backlogs = { readings: 0, raw: 0 }
  const said: string[] = []
  const watch = startHostWatch({
    folders: ['.'],
    topics: [
      { topic: 'readings', backlog: () => backlogs.readings, backlogMax: 100, alarm: 'bus-behind' },
      { topic: 'raw', backlog: () => backlogs.raw, backlogMax: 1_000, alarm: 'archive-behind' }
    ],
    events: {
      watchBacklog: (topic, records) => { said.push(`${topic} ${records()}`) },
      raise: alarm => { if (alarm !== 'disk-low') said.push(`raise ${alarm}`) },
      clear: alarm => { if (alarm !== 'disk-low') said.push(`clear ${alarm}`) }
    }
  })
  const after = (change: Partial<typeof backlogs>) => { Object.assign(backlogs, change); vi.advanceTimersByTime(20_000) }
  after({ readings: 50, raw: 500 })
  after({ raw: 501 })
  after({ readings: 51 })
  after({ raw: 0 })
  watch.stop()
  after({ raw: 999 })
  expect(said).toEqual(['readings 0', 'raw 0', 'raise archive-behind', 'raise bus-behind', 'clear archive-behind'])
})
