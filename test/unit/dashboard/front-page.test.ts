import { expect, test } from 'vitest'
import { balance, type HourBalance, totalOf } from '../../../src/dashboard/balance.ts'
import { type Curve, frontPage, type FrontPageData } from '../../../src/dashboard/front-page.ts'
import { epochMs } from '../../../src/model/units.ts'

const NOW = epochMs(Date.parse('2026-03-05T14:23:11Z'))
const HOUR = epochMs(Date.parse('2026-03-05T14:00:00Z'))
const NASTY = `<img src=x onerror=alert(1)>"'&`

const HOURS: readonly HourBalance[] = balance(
  [{ hour: HOUR, received: 1_300, accepted: 1_234, quarantined: 66, returned: 0, repeated: 0, released: 6, fieldsResubmitted: 0 }],
  new Map([[HOUR, { accepted: 1_240, stored: 1_200, duplicate: 39, conflict: 1 }]]))

function curve (parts: Partial<Curve> = {}): Curve {
  const points = Array.from({ length: 60 }, (_, index) => ({ at: epochMs(NOW - (60 - index) * 1_000), value: 40 + index / 10 }))
  return { title: 'Demo-Ash', metric: 'tissue pO₂', unit: 'mmHg', digits: 1, points, ...parts }
}

function page (parts: Partial<FrontPageData> = {}): string {
  return frontPage({
    isDemo: true,
    version: '0.1.0',
    now: NOW,
    address: 'http://127.0.0.1:8080',
    status: { missing: [], parts: [{ name: 'PostgreSQL', state: 'up', detail: 'embedded' }], alarms: [] },
    counts: { hours: HOURS, total: totalOf(HOURS), backlog: 0, refused: 3, openItems: 60 },
    curves: [curve()],
    devices: [{ title: 'Demo-Ash', stored: 1_200, suppressed: 40, quarantined: 60 }],
    ...parts
  })
}

test('the page loads nothing and runs nothing', () => {
  expect(page()).not.toMatch(/<script|<link|<img|<iframe|src=|@import|url\(|\son\w+=/i)
})

test('it looks again by itself', () => { expect(page()).toContain('<meta http-equiv="refresh" content="5">') })

test('text from outside stays text, wherever it stands', () => {
  const html = page({
    version: NASTY,
    address: NASTY,
    status: { missing: [NASTY], parts: [{ name: NASTY, state: 'down', detail: NASTY }], alarms: [] },
    curves: [curve({ title: NASTY, metric: NASTY, unit: NASTY })],
    devices: [{ title: NASTY, stored: 0, suppressed: 0, quarantined: 0 }]
  })
  expect(html).not.toContain('<img')
  expect(html).not.toContain(`"'&`)
})

test('what came in is told with its sum', () => {
  const html = page()
  for (const number of ['1,300', '1,200', '>60<', '>40<', '60 open, 6 released']) expect(html).toContain(number)
  expect(html).toContain('Every record is accounted for')
})

test('readings that are accepted and nowhere are said to be missing', () => {
  const short = balance([{ hour: HOUR, received: 10, accepted: 10, quarantined: 0, returned: 0, repeated: 0, released: 0, fieldsResubmitted: 0 }], new Map())
  const counts = { hours: short, total: totalOf(short), refused: 0, openItems: 0 }
  expect(page({ counts: { ...counts, backlog: 0 } })).toContain('10 readings were accepted and are neither stored nor suppressed')
  expect(page({ counts: { ...counts, backlog: 1 } })).toContain('10 on the way')
})

test('a server that is not ready says what is missing, an alarm says what to do', () => {
  const html = page({ status: { missing: ['postgres'], parts: [], alarms: ['disk-low'] } })
  expect(html).toContain('not ready: postgres')
  expect(html).toContain('<b>disk-low</b> The disk of the data directory or of the archive is nearly full')
})

test('without the demonstration ward the page holds no curve, no value and no name', () => {
  const html = page({ isDemo: false })
  expect(html).not.toContain('Demo-Ash')
  expect(html).not.toContain('class="curve"')
  expect(html).not.toContain('DEMO')
})

test('a demonstration is marked as one', () => { expect(page().match(/DEMO/g)!.length).toBeGreaterThanOrEqual(2) })

test('an old curve is not shown as a live one', () => {
  const points = [{ at: epochMs(NOW - 600_000), value: 41 }]
  const html = page({ curves: [curve({ points })] })
  expect(html).toContain('<article class="stale">')
  expect(html).toContain('last reading 10 min ago')
  expect(page()).toContain('<article class="live">')
})

test('an empty deployment has a page as well', () => {
  const counts = { hours: [], total: totalOf([]), backlog: 0, refused: 0, openItems: 0 }
  expect(page({ counts, curves: [], devices: [] })).toContain('Nothing came in yet.')
})

test('the newest hour stands at the right of 24, an hour without input is an empty place', () => {
  const hours = balance([
    { hour: epochMs(HOUR - 2 * 3_600_000), received: 5, accepted: 5, quarantined: 0, returned: 0, repeated: 0, released: 0, fieldsResubmitted: 0 },
    { hour: HOUR, received: 10, accepted: 10, quarantined: 0, returned: 0, repeated: 0, released: 0, fieldsResubmitted: 0 }
  ], new Map([[epochMs(HOUR - 2 * 3_600_000), { accepted: 5, stored: 5, duplicate: 0, conflict: 0 }], [HOUR, { accepted: 10, stored: 10, duplicate: 0, conflict: 0 }]]))
  const html = page({ counts: { hours, total: totalOf(hours), backlog: 0, refused: 0, openItems: 0 } })
  expect([...html.matchAll(/<rect class="stored" x="([\d.]+)" y="[\d.]+" width="34.0" height="([\d.]+)"/g)].map(([, x, height]) => [x, height])).toEqual([['843.0', '50.0'], ['923.0', '100.0']])
})
