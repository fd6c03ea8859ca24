import { expect, test } from 'vitest'
import { createSettledCheck } from '../../../../src/fhir/jobs/settled-check.ts'
import { createInFlight } from '../../../../src/ingest/in-flight.ts'
import { epochMs } from '../../../../src/model/units.ts'

const JOB = { id: 1, device: 'd1' }

function bench () {
  const state = { now: epochMs(1_000), end: 0, stored: 0, forgotten: [] as string[] }
  const inFlight = createInFlight()
  const isSettled = createSettledCheck({
    bus: { ends: async () => [state.end] }, series: { resumePoints: async () => new Map([[0, state.stored]]) }, mark: inFlight.mark,
    forget: devices => { state.forgotten.push(...devices) }, now: () => state.now
  })
  return { state, inFlight, isSettled }
}

test('a job waits for a request that was under way when it was seen, however long its append takes, and for the stream to store it', async () => {
  const { state, inFlight, isSettled } = bench()
  const append = Promise.withResolvers<void>()
  const request = inFlight.run(() => append.promise)
  expect(await isSettled(JOB)).toBe(false)
  state.now = epochMs(600_000)
  expect(await isSettled(JOB)).toBe(false)
  state.end = 7
  append.resolve()
  await request
  expect(await isSettled(JOB)).toBe(false)
  state.stored = 7
  expect(await isSettled(JOB)).toBe(true)
})

test('a job does not wait for requests that came after it was seen: by then the resolver has forgotten its device', async () => {
  const { state, inFlight, isSettled } = bench()
  expect(await isSettled(JOB)).toBe(false)
  expect(state.forgotten).toEqual(['d1'])
  void inFlight.run(() => new Promise(() => {}))
  state.now = epochMs(7_000)
  expect(await isSettled(JOB)).toBe(true)
})

test('a request that fails is no longer waited for', async () => {
  const { state, inFlight, isSettled } = bench()
  const request = inFlight.run(() => new Promise((_, reject) => { setImmediate(() => { reject(new Error('down')) }) }))
  expect(await isSettled(JOB)).toBe(false)
  await expect(request).rejects.toThrow('down')
  state.now = epochMs(7_000)
  expect(await isSettled(JOB)).toBe(true)
})
