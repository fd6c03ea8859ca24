import { expect, test } from 'vitest'
import { createRecentCounts } from '../../../src/dashboard/recent-counts.ts'
import { type EpochMs, epochMs } from '../../../src/model/units.ts'

const NOW = epochMs(Date.parse('2026-03-05T14:23:11Z'))

function counts () {
  const asked: [string, EpochMs, EpochMs?][] = []
  let now = NOW
  const ask = createRecentCounts({
    door: async (from, until) => { asked.push(['door', from, until]); return [] },
    backlog: () => { asked.push(['backlog', now]); return 7 },
    stored: async (from, until) => { asked.push(['stored', from, until]); return new Map() },
    refused: async from => { asked.push(['refused', from]); return 3 },
    openItems: async () => { asked.push(['open', now]); return 60 },
    now: () => now
  })
  return { ask, asked, wait: (ms: number) => { now = epochMs(now + ms) } }
}

test('the last 24 hours are asked for, the present one included', async () => {
  const { ask, asked } = counts()
  expect(await ask()).toMatchObject({ backlog: 7, refused: 3, openItems: 60 })
  expect(asked[0]).toEqual(['door', Date.parse('2026-03-04T15:00:00Z'), Date.parse('2026-03-05T15:00:00Z')])
})

test('the bus is asked after the door and before the store, so that nothing slips between', async () => {
  const { ask, asked } = counts()
  await ask()
  expect(asked.map(([what]) => what).slice(0, 3)).toEqual(['door', 'backlog', 'stored'])
})

test('open items are counted at most every 30 s', async () => {
  const { ask, asked, wait } = counts()
  await ask()
  await ask()
  wait(30_000)
  await ask()
  expect(asked.filter(([what]) => what === 'open')).toHaveLength(2)
})
