import { expect, test } from 'vitest'
import { createQuarantineVerb } from '../../../src/cli/quarantine.ts'
import type { CliContext } from '../../../src/cli/verb.ts'
import type { ItemHead } from '../../../src/ingest/quarantine/quarantine-item.ts'
import type { ListFilter, QuarantineReview } from '../../../src/ingest/quarantine/quarantine-review.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { epochMs } from '../../../src/model/units.ts'

const ID = '0f8fad5b-d9cb-469f-a165-70867728950e'
const HEAD: ItemHead = {
  id: ID, number: 5, kind: 'field', state: 'held', reason: 'range-hard', field: 'spo2', schemaId: 1, namedSchema: undefined, content: 'json', encoding: '', source: 'http/test/1', place: 0, requestRecords: 1,
  eventTime: epochMs(Date.UTC(2026, 2, 1)), sequence: 0, arrivedAt: epochMs(Date.UTC(2026, 2, 1, 1)), ruleVersion: 1, attempts: 0, triedAt: undefined,
  settledAt: undefined, note: undefined, lastSeenAt: epochMs(Date.UTC(2026, 2, 1, 1)), timesSeen: 1, settledBy: undefined
}

function scene (review: Partial<QuarantineReview> = {}) {
  const calls: unknown[] = []
  let isClosed = false
  const whole: QuarantineReview = {
    list: async filter => { calls.push(filter); return (filter as ListFilter).after === 5 ? [] : [HEAD] },
    show: async () => ({ head: HEAD, bytes: Buffer.from('{"spo2":140}'), record: undefined }),
    resubmit: async ids => { calls.push(ids); return { resubmitted: ids.length, remaining: [] } },
    discard: async (ids, note, by) => { calls.push([ids, note, by]); return ids.length },
    ...review
  }
  const out: string[] = []
  const err: string[] = []
  const context = { env: {}, stdout: (text: string) => { out.push(text) }, stderr: (text: string) => { err.push(text) }, now: () => epochMs(0), signal: new AbortController().signal } satisfies CliContext
  const verb = createQuarantineVerb(async () => ({ review: whole, close: async () => { isClosed = true } }), () => 'os-user/nurse@ward')
  return { calls, out, err, run: (...args: string[]) => verb.run(args, context), wasClosed: () => isClosed }
}

test('list prints a line for each item, and filters are handed on', async () => {
  const { run, out, calls, wasClosed } = scene()
  expect(await run('list', '--reason', 'range-hard', '--state', 'held', '--schema', '1', '--schema', '0', '--device', 'd1', '--from', '2026-03-01T00:00:00Z', '--limit', '7')).toBe(0)
  expect(calls).toEqual([{ reasons: ['range-hard'], states: ['held'], schemaIds: [1, 0], deviceId: 'd1', arrivedFrom: Date.UTC(2026, 2, 1), limit: 7 }])
  expect(out.join('')).toBe(`${ID}  held         field   range-hard (spo2)  schema 1  arrived 2026-03-01T01:00:00.000Z  taken 2026-03-01T00:00:00.000Z  from http/test/1#0\n`)
  expect(wasClosed()).toBe(true)
})

test('show prints what was sent, and what to do', async () => {
  const { run, out } = scene()
  expect(await run('show', ID)).toBe(0)
  expect(out.join('')).toContain('content: {"spo2":140}\n')
  expect(out.join('')).toContain('toDo: the value lies outside what the device model can measure')
  const json = scene()
  await json.run('show', ID, '--json')
  expect(JSON.parse(json.out.join(''))).toMatchObject({ id: ID, reason: 'range-hard', bytes: Buffer.from('{"spo2":140}').toString('base64') })
  await expect(scene({ show: async () => undefined }).run('show', ID)).rejects.toThrowError(expect.objectContaining({ category: 'not-found' }))
})

test('show writes no byte of a device on the terminal that a terminal would obey', async () => {
  const shown = async (head: Partial<ItemHead>, bytes: Buffer, record?: object, ...more: string[]) => {
    const { run, out } = scene({ show: async () => ({ head: { ...HEAD, ...head }, bytes, record: record as never }) })
    await run('show', ID, ...more)
    return out.join('')
  }
  const evil = Buffer.from('{"spo2":\u001b]0;x\u0007\r\n\t"\u009b2J\u202e\u{e0001}ü\u007f"}')
  expect(await shown({}, evil)).toContain('content: {"spo2":\\u001b]0;x\\u0007\\u000d\n\t"\\u009b2J\\u202e\\udb40\\udc01ü\\u007f"}\n')
  expect(await shown({ content: 'ndjson', kind: 'body' }, evil)).toContain('\\u001b]0;x')
  const framed = Buffer.from([0, 0, 0, 0x12, 0x67, 0x1b, 0x5b, 0x32, 0x4a])
  for (const content of ['avro', 'protobuf', 'protobuf-delimited', 'confluent'] as const) {
    expect(await shown({ content, kind: 'body' }, framed)).toContain('content: AAAAEmcbWzJK (base64)\n')
    expect(await shown({ content }, framed, { deviceId: 'd\u009b', spo2: 97 })).toContain('content: {"deviceId":"d\\u009b","spo2":97}\n')
  }
  // A record of somebody else on our topic is kept as JSON, whatever it is.
  expect(await shown({ kind: 'body', reason: 'foreign-record' }, Buffer.from([0xff, 0x1b]))).toContain('content: /xs= (base64)\n')
  expect(await shown({ kind: 'body', encoding: 'gzip' }, Buffer.from('{}'))).toContain('content: e30= (base64)\n')
  const json = await shown({}, evil, { deviceId: 'd\u009b' }, '--json')
  expect([json.includes('\u009b'), JSON.parse(json)]).toMatchObject([false, { bytes: evil.toString('base64'), record: { deviceId: 'd\u009b' } }])
})

test('resubmit takes ids or a reason, and says by its exit code whether any remain', async () => {
  const byId = scene()
  expect(await byId.run('resubmit', ID)).toBe(0)
  expect([byId.calls, byId.out]).toEqual([[[ID]], ['re-submitted 1, remaining 0\n']])
  const byReason = scene({ resubmit: async ids => ({ resubmitted: 0, remaining: ids.map(id => ({ id, reason: 'range-hard' as const })) }) })
  expect(await byReason.run('resubmit', '--reason', 'range-hard', '--json')).toBe(1)
  expect(JSON.parse(byReason.out.join(''))).toEqual({ resubmitted: 0, remaining: 1 })
})

test('resubmit stops where something is full or away, and says how many went', async () => {
  const full = new ServiceError('busy', 'BUS_FULL', 'the bus is full')
  const inReview = scene({ resubmit: async () => ({ resubmitted: 7, remaining: [], stoppedBy: full }) })
  expect(await inReview.run('resubmit', '--reason', 'malformed')).toBe(1)
  expect([inReview.calls.length, inReview.out, inReview.wasClosed()]).toEqual([1, ['re-submitted 7, then stopped\n'], true])
  expect(inReview.err.join('')).toBe('oxbow quarantine: the bus is full; what did not go stays in quarantine: do the same again later\n')
  const inList = scene({ list: async ({ after }) => { if (after === 5) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'away'); return [HEAD] } })
  expect(await inList.run('resubmit', '--reason', 'malformed', '--json')).toBe(1)
  expect(JSON.parse(inList.out.join(''))).toEqual({ resubmitted: 1, stopped: 'STORE_UNAVAILABLE' })
  await expect(scene({ resubmit: async () => { throw new ServiceError('fault', 'INTERNAL', 'x') } }).run('resubmit', ID)).rejects.toThrowError(expect.objectContaining({ code: 'INTERNAL' }))
})

test('discard keeps the reason given', async () => {
  const { run, calls } = scene()
  expect(await run('discard', ID, '--because', 'sensor was broken')).toBe(0)
  expect(calls).toEqual([[[ID], 'sensor was broken', 'os-user/nurse@ward']])
  expect(await scene({ discard: async () => 0 }).run('discard', ID, '--because', 'x')).toBe(1)
})

test('wrong use is said before anything is opened', async () => {
  const wrong = [[], ['drop'], ['list', ID], ['show'], ['show', 'x'], ['resubmit'], ['resubmit', ID, '--reason', 'malformed'], ['discard', ID], ['list', '--reason', 'x'],
    ['list', '--state', 'x'], ['list', '--schema', 'v1'], ['list', '--schema', '2147483648'], ['list', '--from', 'yesterday'], ['list', '--from', '2026-03-01'], ['list', '--limit', '0'], ['list', '--from', '2026-02-30T00:00:00Z'],
    // It would be for good, and more than was meant.
    ['discard', '--reason', 'malformed', '--limit', '1', '--because', 'x'], ['discard', ID, '--device', 'd1', '--because', 'x'], ['resubmit', ID, '--state', 'held'], ['show', ID, '--limit', '2']]
  for (const args of wrong) {
    const { run, calls, wasClosed } = scene()
    await expect(run(...args)).rejects.toThrowError(expect.objectContaining({ code: 'USAGE' }))
    expect([calls, wasClosed()]).toEqual([[], false])
  }
})

test('items that are settled already are told, and end with 1', async () => {
  const resubmit = scene({ resubmit: async () => ({ resubmitted: 0, remaining: [] }) })
  expect(await resubmit.run('resubmit', ID, ID)).toBe(1)
  expect(resubmit.err.join('')).toContain('1 of the items named is settled already, or not there')
  const discard = scene({ discard: async () => 0 })
  expect(await discard.run('discard', ID, '--because', 'x')).toBe(1)
  expect(discard.err.join('')).toContain('settled already')
})

test('an item that was seen again says how often and when last, in words and as JSON', async () => {
  const again: ItemHead = { ...HEAD, timesSeen: 12, lastSeenAt: epochMs(Date.UTC(2026, 2, 1, 9)) }
  const { run, out } = scene({ list: async () => [again] })
  await run('list')
  expect(out.join('')).toContain('  arrived 2026-03-01T01:00:00.000Z  seen 12 times  last 2026-03-01T09:00:00.000Z  ')
  const json = scene({ list: async () => [again] })
  await json.run('list', '--json')
  expect(JSON.parse(json.out.join(''))).toMatchObject([{ schemaId: 1, source: 'http/test/1', place: 0, arrivedAt: '2026-03-01T01:00:00.000Z', lastSeenAt: '2026-03-01T09:00:00.000Z', timesSeen: 12 }])
})

test('a body that names a schema nobody knows is listed, and found, by its number', async () => {
  const { run, out, calls } = scene({ list: async filter => { calls.push(filter); return [{ ...HEAD, kind: 'body', reason: 'schema-unknown', schemaId: 0, namedSchema: 2_147_483_647 }] } })
  await run('list', '--schema', '2147483647')
  expect(calls).toEqual([{ schemaIds: [2_147_483_647], limit: 100 }])
  expect(out.join('')).toContain('  schema 2147483647  ')
})

test('a list without items says so', async () => {
  const { run, out, err } = scene({ list: async () => [] })
  expect(await run('list')).toBe(0)
  expect([out.join(''), err.join('')]).toEqual(['', 'oxbow quarantine: there are no such items\n'])
})
