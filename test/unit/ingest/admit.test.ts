import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AdmissionOptions, type Admit, createAdmission } from '../../../src/ingest/admit.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { epochMs } from '../../../src/model/units.ts'

const START = Date.UTC(2026, 2, 1)
const at = (seconds: number) => epochMs(START + seconds * 1_000)
const of = (deviceId: string, count: number) => Array.from({ length: count }, () => ({ deviceId }))

function scene (rates: Pick<AdmissionOptions, 'gatewayRate' | 'deviceRate'>) {
  const told: unknown[][] = []
  let now = 0
  const { admit, report } = createAdmission({
    ...rates, now: () => at(now),
    events: { limited: (...args) => { told.push(args) }, raise: (...args) => { told.push(['raise', ...args]) }, clear: alarm => { told.push(['clear', alarm]) } }
  })!
  return { told, admit, report: (seconds: number) => { now = seconds; report() } }
}

test('without a limit there is nothing to ask', () => {
  expect(createAdmission({ events: { limited () {}, raise () {}, clear () {} }, now: () => at(0) })).toBeUndefined()
})

test('a gateway over its limit is refused as a whole, told when to come again, and comes through then', () => {
  const { admit, told } = scene({ gatewayRate: { perSecond: 10, burst: 100 } })
  expect(admit('g', of('a', 60), 40, at(0))).toBeUndefined()
  expect(() => admit('g', of('a', 15), 0, at(0))).toThrowError(expect.objectContaining({ category: 'busy', code: 'RATE_LIMITED', retryAfterS: 2 }))
  expect(told).toEqual([['gateway', 15]])
  expect(admit('g', of('a', 15), 0, at(2))).toBeUndefined()
})

test('one gateway does not touch another', () => {
  const { admit } = scene({ gatewayRate: { perSecond: 10, burst: 100 } })
  expect(admit('g', of('a', 100), 0, at(0))).toBeUndefined()
  expect(() => admit('g', of('a', 1), 0, at(0))).toThrow()
  expect(admit('h', of('a', 100), 0, at(0))).toBeUndefined()
})

test('of a device over its limit nothing goes on, of the others everything', () => {
  const { admit, told } = scene({ deviceRate: { perSecond: 1, burst: 10 } })
  expect(admit('g', of('wild', 10), 0, at(0))).toBeUndefined()
  const mixed = [...of('wild', 2), ...of('calm', 5), ...of('wild', 3), ...of('calm', 5)]
  // The calm one may send its ten again in ten seconds, the wild one its five in five.
  expect(admit('g', mixed, 1, at(0))).toEqual({ devices: new Set(['wild']), count: 5, retryAfterS: 10 })
  expect(told).toEqual([['device', 5]])
  expect(admit('g', of('wild', 5), 0, at(5))).toBeUndefined()
})

test('the longest wait is told, so that one more attempt is enough', () => {
  const { admit } = scene({ deviceRate: { perSecond: 1, burst: 10 } })
  admit('g', [...of('wild', 10), ...of('wilder', 10)], 0, at(0))
  const both = [...of('wild', 3), ...of('wilder', 9)]
  expect(admit('g', both, 0, at(0))).toMatchObject({ retryAfterS: 9, count: 12 })
  expect(admit('g', both, 0, at(9))).toBeUndefined()
})

test('devices that are charged in turn do not keep each other waiting for ever', () => {
  const { admit } = scene({ deviceRate: { perSecond: 200, burst: 10_000 } })
  expect(admit('g', [...of('a', 6_000), ...of('b', 10_000)], 0, at(0))).toBeUndefined()
  const both = [...of('a', 5_000), ...of('b', 5_000)]
  expect(admit('g', both, 0, at(5))).toEqual({ devices: new Set(['b']), count: 5_000, retryAfterS: 25 })
  expect(admit('g', both, 0, at(30))).toBeUndefined()
})

test('its gateway may send the whole request too when the wait is over', () => {
  const { admit } = scene({ gatewayRate: { perSecond: 1, burst: 20 }, deviceRate: { perSecond: 10, burst: 10 } })
  expect(admit('g', of('a', 10), 0, at(0))).toBeUndefined()
  expect(admit('g', [...of('a', 1), ...of('b', 9)], 0, at(0))).toEqual({ devices: new Set(['a']), count: 1, retryAfterS: 9 })
  expect(admit('g', [...of('a', 1), ...of('b', 9)], 0, at(9))).toBeUndefined()
})

test('a sender that waits as it is told, alone on its devices, comes through with the second repeat at the latest', () => {
  const rates = fc.record({ perSecond: fc.integer({ min: 1, max: 500 }), burst: fc.integer({ min: 1, max: 300 }) })
  const requests = fc.array(fc.record({
    afterS: fc.nat({ max: 3 }), unread: fc.nat({ max: 20 }),
    counts: fc.array(fc.record({ deviceId: fc.constantFrom('a', 'b', 'c', 'd'), count: fc.integer({ min: 1, max: 200 }) }), { maxLength: 6 })
  }), { minLength: 1, maxLength: 10 })
  const option = fc.option(rates, { nil: undefined })
  fc.assert(fc.property(option, rates, requests, (gatewayRate, deviceRate, sent) => {
    const { admit } = scene({ gatewayRate, deviceRate })
    let seconds = 0
    for (const { afterS, unread, counts } of sent) {
      seconds += afterS
      const records = counts.flatMap(({ deviceId, count }) => of(deviceId, count))
      let repeats = 0
      for (let wait = waitOf(admit, records, unread, seconds); wait > 0; wait = waitOf(admit, records, unread, seconds)) {
        expect(++repeats).toBeLessThanOrEqual(gatewayRate === undefined ? 1 : 2)
        seconds += wait
      }
    }
  }))
})

/** 0: all of it went on. */
function waitOf (admit: Admit, records: readonly { deviceId: string }[], unread: number, seconds: number): number {
  try {
    return admit('g', records, unread, at(seconds))?.retryAfterS ?? 0
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'RATE_LIMITED') return error.retryAfterS!
    throw error
  }
}

test('what a wild device sends is not charged to its gateway', () => {
  const { admit } = scene({ gatewayRate: { perSecond: 1, burst: 100 }, deviceRate: { perSecond: 1, burst: 10 } })
  expect(admit('g', of('wild', 10), 0, at(0))).toBeUndefined()
  for (let i = 0; i < 1_000; i++) expect(admit('g', of('wild', 10), 0, at(0))?.count).toBe(10)
  expect(admit('g', of('calm', 10), 80, at(0))).toBeUndefined()
})

test('what a gateway may not send is not charged to its devices', () => {
  const { admit } = scene({ gatewayRate: { perSecond: 1, burst: 20 }, deviceRate: { perSecond: 1, burst: 10 } })
  expect(admit('g', of('a', 2), 18, at(0))).toBeUndefined()
  for (let i = 0; i < 10; i++) expect(() => admit('g', of('a', 8), 0, at(0))).toThrow()
  expect(admit('h', of('a', 8), 0, at(0))).toBeUndefined()
})

test('who is held back for ten minutes raises one alarm, which ends with it and names nobody', () => {
  const { admit, told, report } = scene({ gatewayRate: { perSecond: 1_000, burst: 1_000 }, deviceRate: { perSecond: 1, burst: 10 } })
  admit('g', of('secret-device', 10), 0, at(0))
  for (let second = 0; second <= 660; second += 30) {
    // Twice what it may send.
    admit('g', of('secret-device', 10), 0, at(second))
    admit('g', of('secret-device', 10), 0, at(second))
    report(second)
  }
  report(800)
  report(860)
  expect(told.filter(([what]) => what !== 'device')).toEqual([['raise', 'device-limited', { count: 1 }], ['clear', 'device-limited']])
  expect(JSON.stringify(told)).not.toContain('secret-device')
})
