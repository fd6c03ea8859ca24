import fc from 'fast-check'
import { expect, test } from 'vitest'
import { balance, type DoorHour, shortHours, type StoredCounts, totalOf } from '../../../src/dashboard/balance.ts'
import { type EpochMs, epochMs } from '../../../src/model/units.ts'

const HOUR = epochMs(Date.parse('2026-03-05T14:00:00Z'))
const LATER = epochMs(HOUR + 3_600_000)

function door (hour: EpochMs, counts: Partial<DoorHour>): DoorHour {
  const row = { accepted: 0, quarantined: 0, returned: 0, repeated: 0, released: 0, fieldsResubmitted: 0, ...counts }
  return { ...row, hour, received: row.accepted + row.quarantined }
}

function stored (hour: EpochMs, counts: Partial<StoredCounts>): [EpochMs, StoredCounts] {
  const row = { stored: 0, duplicate: 0, conflict: 0, ...counts }
  return [hour, { ...row, accepted: row.stored + row.duplicate + row.conflict }]
}

test('in = stored + quarantined + suppressed', () => {
  const [hour] = balance([door(HOUR, { accepted: 95, quarantined: 5 })], new Map([stored(HOUR, { stored: 90, duplicate: 4, conflict: 1 })]))
  expect(hour).toEqual({ hour: HOUR, received: 100, returned: 0, stored: 90, quarantined: 5, released: 0, suppressed: 5, onTheWay: 0, uncounted: 0 })
})

test('what was released from quarantine is stored and no longer quarantined', () => {
  const [hour] = balance([door(HOUR, { accepted: 10, quarantined: 5, released: 5 })], new Map([stored(HOUR, { stored: 15 })]))
  expect(hour).toMatchObject({ received: 15, stored: 15, quarantined: 0, released: 5, onTheWay: 0 })
})

test('what stood in quarantine already is suppressed', () => {
  const [hour] = balance([door(HOUR, { accepted: 10, quarantined: 5, repeated: 4, released: 1 })], new Map([stored(HOUR, { stored: 10, duplicate: 1 })]))
  expect(hour).toEqual({ hour: HOUR, received: 15, returned: 0, stored: 10, quarantined: 0, released: 1, suppressed: 5, onTheWay: 0, uncounted: 0 })
})

test('a reading counts once: a field of it that is re-submitted is no suppressed reading, and none that the door has not counted', () => {
  const [hour] = balance([door(HOUR, { accepted: 10, fieldsResubmitted: 2 })], new Map([stored(HOUR, { stored: 9, duplicate: 3 })]))
  expect(hour).toEqual({ hour: HOUR, received: 10, returned: 0, stored: 9, quarantined: 0, released: 0, suppressed: 1, onTheWay: 0, uncounted: 0 })
})

test('accepted and not yet stored is on the way while the bus holds records, and missing when it holds none', () => {
  const hours = balance([door(HOUR, { accepted: 10 }), door(LATER, { accepted: 3 })], new Map([stored(HOUR, { stored: 10 })]))
  expect(hours.map(({ onTheWay }) => onTheWay)).toEqual([0, 3])
  expect(shortHours(hours, 1)).toEqual([])
  expect(shortHours(hours, 0).map(({ hour }) => hour)).toEqual([LATER])
})

test('an hour that only the store knows is uncounted at the door, and never makes up for another that is short', () => {
  const hours = balance([door(HOUR, { accepted: 7 })], new Map([stored(LATER, { stored: 7 })]))
  expect(hours.map(({ hour }) => hour)).toEqual([HOUR, LATER])
  expect(hours.map(({ onTheWay, uncounted }) => [onTheWay, uncounted])).toEqual([[7, 0], [0, 7]])
  expect(shortHours(hours, 0)).toHaveLength(1)
})

test('every hour and their sum add up, whatever was counted', () => {
  const count = fc.nat({ max: 1_000_000 })
  const doorCounts = fc.record({ accepted: count, quarantined: count, returned: count, repeated: count, released: count, fieldsResubmitted: count })
  const storedCounts = fc.record({ stored: count, duplicate: count, conflict: count })
  fc.assert(fc.property(fc.array(fc.tuple(fc.option(doorCounts), fc.option(storedCounts)), { maxLength: 30 }), rows => {
    const at = (index: number) => epochMs(HOUR + index * 3_600_000)
    const hours = balance(
      rows.flatMap(([counts], index) => counts === null ? [] : [door(at(index), counts)]),
      new Map(rows.flatMap(([, counts], index) => counts === null ? [] : [stored(at(index), counts)])))
    for (const sum of [...hours, totalOf(hours)]) {
      expect(sum.received + sum.returned + sum.uncounted).toBe(sum.stored + sum.quarantined + sum.suppressed + sum.onTheWay)
    }
  }))
})
