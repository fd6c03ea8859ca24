/** What runs, what came in, the demonstration ward's curves → the front page as one HTML text. Shows counts only unless it is a demonstration. */

import type { OperationalAlarm } from '../observability/events.ts'
import { type EpochMs, HOUR_MS } from '../model/units.ts'
import { ALARM_ADVICE } from './alarm-advice.ts'
import { type HourBalance, shortHours, totalOf } from './balance.ts'
import { STYLE } from './front-page-style.ts'
import { escapeHtml } from './html.ts'
import { type CurvePoint, sparkline } from './sparkline.ts'

export type PartState = 'up' | 'behind' | 'down'

export interface PartStatus {
  /** For people: `PostgreSQL`, `Bus`, `Stream`, `Series store` … */
  name: string
  state: PartState
  /** A few words: `12 records waiting`. */
  detail: string
}

export interface FrontPageStatus {
  /** Names of what is missing; empty: it takes readings. */
  missing: readonly string[]
  parts: readonly PartStatus[]
  alarms: readonly OperationalAlarm[]
}

export interface FrontPageCounts {
  /** The last 24, ascending. */
  hours: readonly HourBalance[]
  /** Their sum. */
  total: Omit<HourBalance, 'hour'>
  /** Records on the bus that are not stored yet, asked after the door's counts and before those of the store. */
  backlog: number
  /** Refused requests of these hours. */
  refused: number
  /** Items that stand in quarantine now. */
  openItems: number
}

export interface Curve {
  /** Of an invented patient: `Demo-Ash`. */
  title: string
  /** What was measured: `tissue pO₂`. */
  metric: string
  /** For people: `mmHg`, `%`. */
  unit: string
  /** Digits behind the point. */
  digits: number
  /** Ascending. */
  points: readonly CurvePoint[]
}

export interface DeviceCounts { title: string, stored: number, suppressed: number, quarantined: number }

export interface FrontPageData {
  isDemo: boolean
  version: string
  now: EpochMs
  /** Address under which clients reach the server. */
  address: string
  status: FrontPageStatus
  /** `undefined` while the stores do not answer. */
  counts: FrontPageCounts | undefined
  /** Of invented patients only; [] in a deployment without the demonstration ward. */
  curves: readonly Curve[]
  devices: readonly DeviceCounts[]
}

/** Seconds between two looks of the browser. */
export const REFRESH_S = 5
const STALE_MS = 120_000
const TABLE_HOURS = 6
const MINUTE_MS = 60_000

export function frontPage (data: FrontPageData): string {
  const isReady = data.status.missing.length === 0
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="${REFRESH_S}">
<title>Oxbow${isReady ? '' : ' – not ready'}</title>
<style>${STYLE}</style>
</head>
<body>
${header(data, isReady)}
<main>
${alarmsSection(data.status.alarms)}${partsSection(data.status.parts)}${countsSection(data.counts)}${data.isDemo ? curvesSection(data.curves, data.now) + devicesSection(data.devices) : ''}${nextSection(data)}</main>
<footer>Oxbow ${escapeHtml(data.version)} · as of ${clock(data.now)} UTC · looks again every ${REFRESH_S} s</footer>
</body>
</html>
`
}

const MARK = '<svg class="mark" viewBox="0 0 40 40" aria-hidden="true"><path d="M4 34C12 34 12 28 12 20a8 8 0 1 1 16 0C28 28 28 34 36 34"/></svg>'

function header ({ isDemo, status }: FrontPageData, isReady: boolean): string {
  const state = isReady
    ? '<span class="pill up">takes readings</span>'
    : `<span class="pill down">not ready: ${escapeHtml(status.missing.join(', '))}</span>`
  const demo = isDemo ? '<span class="pill demo" title="Invented patients; a replayed recording and simulated sensors">DEMO</span>' : ''
  return `<header>${MARK}<div><h1>Oxbow</h1><p>Tissue-oxygen telemetry in, FHIR out.</p></div><div class="pills">${demo}${state}</div></header>`
}

function alarmsSection (alarms: readonly OperationalAlarm[]): string {
  if (alarms.length === 0) return ''
  const items = alarms.map(alarm => `<li><b>${escapeHtml(alarm)}</b> ${escapeHtml(ALARM_ADVICE[alarm])}</li>`)
  return `<section class="alarms" aria-label="Operational alarms"><ul>${items.join('')}</ul></section>\n`
}

const STATE_WORDS: Readonly<Record<PartState, string>> = { up: 'runs', behind: 'behind', down: 'down' }

function partsSection (parts: readonly PartStatus[]): string {
  const items = parts.map(({ name, state, detail }) =>
    `<li class="${state}"><span class="dot"></span><b>${escapeHtml(name)}</b><span class="state">${STATE_WORDS[state]}</span><span class="detail">${escapeHtml(detail)}</span></li>`)
  return `<section><h2>What runs</h2><ul class="parts">${items.join('')}</ul></section>\n`
}

function countsSection (counts: FrontPageCounts | undefined): string {
  if (counts === undefined) return '<section><h2>What came in</h2><p class="empty">The stores do not answer.</p></section>\n'
  const { hours, total, backlog, refused, openItems } = counts
  const tiles = [
    tile('received', total.received + total.uncounted, 'records at the door'),
    tile('stored', total.stored, 'in the series store', 'stored'),
    tile('quarantined', total.quarantined, `${count(openItems)} open, ${count(total.released)} released`, 'quarantined'),
    tile('suppressed', total.suppressed, 'were there already', 'suppressed'),
    tile('refused', refused, 'requests, no input')
  ]
  return `<section><h2>What came in <small>in the last 24 hours</small></h2><div class="tiles">${tiles.join('')}</div>${verdict(hours, total, backlog)}${bars(hours)}${hourTable(hours.slice(-TABLE_HOURS))}</section>\n`
}

function tile (label: string, value: number, note: string, kind = ''): string {
  return `<div class="tile ${kind}"><span>${label}</span><b>${count(value)}</b><small>${note}</small></div>`
}

/** Law 4 in a sentence. */
function verdict (hours: readonly HourBalance[], total: Omit<HourBalance, 'hour'>, backlog: number): string {
  const short = shortHours(hours, backlog)
  if (short.length > 0) {
    const missing = totalOf(short).onTheWay
    return `<p class="verdict down">${count(missing)} readings were accepted and are neither stored nor suppressed: run <code>oxbow doctor</code>.</p>`
  }
  const onTheWay = total.onTheWay > 0 ? `, ${count(total.onTheWay)} on the way` : ''
  return `<p class="verdict up">Every record is accounted for: in = stored + quarantined + suppressed${onTheWay}.</p>`
}

const BARS = { width: 960, height: 120, gap: 6, floor: 20, slots: 24 } as const
const SHARES = ['stored', 'suppressed', 'quarantined'] as const

/** One bar for each of the last 24 hours, the newest at the right. */
function bars (hours: readonly HourBalance[]): string {
  const newest = hours.at(-1)
  if (newest === undefined) return '<p class="empty">Nothing came in yet.</p>'
  const step = BARS.width / BARS.slots
  const highest = Math.max(1, ...hours.map(hour => SHARES.reduce((sum, share) => sum + hour[share], 0)))
  const drawn = hours.map(hour => {
    const x = (BARS.slots - 1 - (newest.hour - hour.hour) / HOUR_MS) * step + BARS.gap / 2
    let y = BARS.height - BARS.floor
    const rects = SHARES.map(share => {
      const height = hour[share] / highest * (BARS.height - BARS.floor)
      y -= height
      return height === 0 ? '' : `<rect class="${share}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(step - BARS.gap).toFixed(1)}" height="${height.toFixed(1)}" rx="2"/>`
    })
    return `<g><title>${clock(hour.hour).slice(0, 5)} UTC: ${SHARES.map(share => `${count(hour[share])} ${share}`).join(', ')}</title>${rects.join('')}</g>`
  })
  const labels = Array.from({ length: BARS.slots }, (_, slot) => {
    const hour = new Date(newest.hour - (BARS.slots - 1 - slot) * HOUR_MS).getUTCHours()
    return `<text x="${((slot + 0.5) * step).toFixed(1)}" y="${BARS.height - 4}">${String(hour).padStart(2, '0')}</text>`
  })
  const ground = `<path class="ground" d="M0 ${BARS.height - BARS.floor + 1}H${BARS.width}"/>`
  return `<svg class="bars" viewBox="0 0 ${BARS.width} ${BARS.height}" role="img" aria-label="Records by hour of arrival (UTC)">${drawn.join('')}${ground}${labels.join('')}</svg>`
}

function hourTable (hours: readonly HourBalance[]): string {
  if (hours.length === 0) return ''
  const rows = hours.toReversed().map(hour => `<tr><td>${day(hour.hour)} ${clock(hour.hour).slice(0, 5)}</td>${
    [hour.received + hour.uncounted, hour.stored, hour.suppressed, hour.quarantined, hour.released, hour.onTheWay].map(value => `<td>${count(value)}</td>`).join('')}</tr>`)
  const heads = ['hour (UTC)', 'received', 'stored', 'suppressed', 'quarantined', 'released', 'on the way'].map(head => `<th>${head}</th>`).join('')
  return `<div class="scroll"><table><thead><tr>${heads}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

function curvesSection (curves: readonly Curve[], now: EpochMs): string {
  if (curves.length === 0) return '<section><h2>Demonstration ward</h2><p class="empty">The ward is being admitted; its first curves come in a moment.</p></section>\n'
  return `<section><h2>Demonstration ward <small>as measured, the last quarter of an hour</small></h2><div class="curves">${curves.map(curve => curveCard(curve, now)).join('')}</div></section>\n`
}

/** An old value is never shown as a present one. */
function curveCard ({ title, metric, unit, digits, points }: Curve, now: EpochMs): string {
  const measured = points.filter(({ value }) => value !== undefined)
  const newest = measured.at(-1)
  const isStale = newest === undefined || now - newest.at > STALE_MS
  const values = measured.map(({ value }) => value!)
  const number = (value: number) => value.toFixed(digits)
  const reading = newest === undefined ? '–' : `${number(newest.value!)} <small>${escapeHtml(unit)}</small>`
  const age = newest === undefined ? 'no readings' : isStale ? `last reading ${ago(now - newest.at)}` : ago(now - newest.at)
  const span = values.length === 0 ? '' : `${number(Math.min(...values))} – ${number(Math.max(...values))} in ${minutes(measured)}`
  return `<article class="${isStale ? 'stale' : 'live'}"><header><b>${escapeHtml(title)}</b><span class="demo">DEMO</span></header><p class="metric">${escapeHtml(metric)}</p>` +
    `<p class="value">${reading}</p>${sparkline(points, { label: `${title}, ${metric}` })}<footer><span>${span}</span><span>${age}</span></footer></article>`
}

function devicesSection (devices: readonly DeviceCounts[]): string {
  if (devices.length === 0) return ''
  const rows = devices.map(({ title, stored, suppressed, quarantined }) =>
    `<tr><td>${escapeHtml(title)}</td><td>${count(stored)}</td><td>${count(suppressed)}</td><td>${count(quarantined)}</td></tr>`)
  return `<section><h2>By sensor</h2><div class="scroll"><table><thead><tr><th>demonstration sensor</th><th>stored</th><th>suppressed</th><th>quarantined</th></tr></thead><tbody>${rows.join('')}</tbody></table></div></section>\n`
}

function nextSection ({ address }: FrontPageData): string {
  const url = escapeHtml(address)
  return `<section><h2>Where to go next</h2><div class="next">
<article><h3>1. Get a token</h3><pre><code>TOKEN=$(npm run -s oxbow -- token create \\
  --scope "__telemetry.write system/*.cruds")</code></pre><p>Signed with this machine's own key; <code>token create --help</code> tells more.</p></article>
<article><h3>2. Ask for Observations</h3><pre><code>curl -H "Authorization: Bearer $TOKEN" \\
  "${url}/fhir/Observation?_sort=-date&amp;_count=5"</code></pre><p>What the server can do: <a href="/fhir/metadata">/fhir/metadata</a>.</p></article>
<article><h3>3. Send your own</h3><pre><code>npm run -s oxbow -- replay FILE --device ID
npm run -s oxbow -- simulate --register --devices 3 --rate 1</code></pre><p><code>README.md</code> leads from a patient and a device to their first Observation.</p></article>
<article><h3>Keep it running</h3><pre><code>npm run -s oxbow -- doctor</code></pre><p><a href="/health/ready">/health/ready</a> · <a href="/metrics">/metrics</a> · <code>docs/operations.md</code> · <code>docs/configuration.md</code></p></article>
</div></section>
`
}

function count (value: number): string { return Math.round(value).toLocaleString('en-GB') }
function clock (time: EpochMs): string { return new Date(time).toISOString().slice(11, 19) }
function day (time: EpochMs): string { return new Date(time).toISOString().slice(0, 10) }

function ago (ms: number): string {
  if (ms < MINUTE_MS) return `${Math.max(0, Math.round(ms / 1_000))} s ago`
  return ms < 2 * HOUR_MS ? `${Math.round(ms / MINUTE_MS)} min ago` : `${Math.round(ms / HOUR_MS)} h ago`
}

function minutes (points: readonly CurvePoint[]): string {
  const ms = points.at(-1)!.at - points[0]!.at
  return ms < 2 * MINUTE_MS ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / MINUTE_MS)} min`
}
