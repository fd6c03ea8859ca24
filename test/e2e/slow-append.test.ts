import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { type Bedside, createBedside, iso, samples } from '../support/bedside.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { eventually } from '../support/fhir-client.ts'
import { asOwner, ownerView } from '../support/owner-view.ts'

const dataDir = makeDataDir()
const M = Math.floor((Date.now() - 6 * 3_600_000) / 60_000) * 60_000
const SINCE = iso(M - 86_400_000)
/** Longer than any wait of the job that is not for this very request. */
const STALL_MS = 9_000
let oxbow: Oxbow
let ward: Bedside

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env: { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s' } })
  ward = createBedside(oxbow, await oxbow.token('__telemetry.write system/*.cruds'))
})
afterAll(async () => {
  await endOxbow(oxbow, dataDir)
})

const openJobs = () => asOwner(dataDir, async view => {
  const { rows } = await view.pool('linkage').query<{ count: number }>(`select count(*)::int as count from linkage.relabel_job where state = 'open'`)
  return rows[0]!.count
})

interface StoppedBus { isWaitedFor (): Promise<void>, goOn (): Promise<void> }

/** No append is acknowledged until it goes on. */
function stopBus (): Promise<StoppedBus> { return inject('kafka') === undefined ? lockBus() : freezeBroker(inject('kafkaPid')!) }

async function lockBus (): Promise<StoppedBus> {
  const view = await ownerView(dataDir)
  const lock = await view.pool('bus').connect()
  await lock.query('begin')
  await lock.query('select * from bus.partition for update')
  return {
    isWaitedFor: () => eventually(async () => {
      const { rows } = await view.pool('bus').query<{ waiting: number }>(`select count(*)::int as waiting from pg_locks where not granted`)
      expect(rows[0]!.waiting).toBeGreaterThan(0)
    }, 10_000),
    async goOn () {
      await lock.query('rollback')
      lock.release()
      await view.close()
    }
  }
}

/** That an append waits is seen from outside by the server's alarm. */
async function freezeBroker (pid: number): Promise<StoppedBus> {
  process.kill(pid, 'SIGSTOP')
  return {
    isWaitedFor: () => eventually(async () => { expect(JSON.stringify((await ward.ehr.get<object>('/health/ready')).body)).toContain('bus-failed') }, 10_000),
    async goOn () { process.kill(pid, 'SIGCONT') }
  }
}

test.skipIf(inject('kafka') !== undefined && inject('kafkaPid') === undefined)('readings whose append stands still while their association is corrected end under the patient who wore the device', async () => {
  const wrong = await ward.admit({ deviceId: 'stall', mrn: 'stall-a', start: SINCE })
  const right = await ward.admit({ deviceId: 'stall-2', mrn: 'stall-b', start: SINCE })
  await ward.send(samples({ deviceId: 'stall', from: M, count: 60 }))
  await ward.eventuallyWindows(wrong.patient, windows => { expect(windows).toHaveLength(1) })
  const bus = await stopBus()
  const sending = ward.send(samples({ deviceId: 'stall', from: M + 60_000, count: 60 }))
  await bus.isWaitedFor()
  const { body } = await ward.ehr.get(`/fhir/DeviceUseStatement/${wrong.association}`)
  const answer = await ward.ehr.send('POST', '/fhir', { resourceType: 'Bundle', type: 'transaction', entry: [
    { resource: { ...body, status: 'entered-in-error' }, request: { method: 'PUT', url: `DeviceUseStatement/${wrong.association}` } },
    { fullUrl: 'urn:uuid:6a6e3f6e-7f0e-4a10-9d0c-7f3f5f1f0a01',
      resource: {
        resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: `Patient/${right.patient}` }, device: { reference: `Device/${wrong.device}` },
        timingPeriod: { start: SINCE }
      },
      request: { method: 'POST', url: 'DeviceUseStatement' } }
  ] })
  expect(answer.status).toBe(200)
  await new Promise(resolve => setTimeout(resolve, STALL_MS))
  expect(await openJobs()).toBe(1)
  await bus.goOn()
  expect(await sending).toMatchObject({ accepted: 60 })
  await eventually(async () => { expect(await openJobs()).toBe(0) }, 20_000)
  await ward.eventuallyWindows(right.patient, windows => { expect(windows).toHaveLength(2) })
  await ward.eventuallyWindows(wrong.patient, windows => { expect(windows.every(({ status }) => status === 'entered-in-error')).toBe(true) })
}, 90_000)
