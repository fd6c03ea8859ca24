import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Lead, type LeadState, takeLead } from '../../../../src/platform/postgres/lead.ts'
import { isLockWaited, type TestDatabase, testDatabase } from '../../../support/postgres.ts'

const WAIT = { timeout: 30_000 }

let database: TestDatabase
const leads: Lead[] = []
const stopped = new Set<number>()

beforeAll(async () => { database = await testDatabase('linkage') })
afterEach(async () => {
  for (const pid of stopped) goOn(pid)
  await Promise.all(leads.splice(0).map(lead => lead.close()))
})
afterAll(async () => { await database?.drop() })

async function leading ({ startWaitMs = 30_000, answerMs = 20_000 } = {}): Promise<{ lead: Lead, states: LeadState[] }> {
  const states: LeadState[] = []
  const lead = await takeLead({ url: database.url, onState: state => { states.push(state) }, startWaitMs, everyMs: 20, answerMs })
  leads.push(lead)
  return { lead, states }
}

/** Sessions that hold the lock. */
async function holders (): Promise<number[]> {
  const { rows } = await database.pool.query<{ pid: number }>(`select a.pid from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database where datname = current_database())`)
  return rows.map(({ pid }) => pid)
}

const end = (pid: number) => database.pool.query('select pg_terminate_backend($1)', [pid])

/** The session neither answers nor ends, as one over a broken line. */
function standStill (pid: number): void {
  process.kill(pid, 'SIGSTOP')
  stopped.add(pid)
}
function goOn (pid: number): void {
  process.kill(pid, 'SIGCONT')
  stopped.delete(pid)
}

test('one leads; a second is refused with what to do; once the first has ended the next one leads', async () => {
  const first = await leading()
  await expect(leading({ startWaitMs: 0 })).rejects.toMatchObject({ category: 'conflict', code: 'STORE_IN_USE', message: expect.stringMatching(/stop that one.*--roles stream/) })
  const next = leading()
  await first.lead.close()
  await next
  expect(first.states).toEqual([])
})

test('a lead that was lost with its session is taken again', async () => {
  const { states } = await leading()
  await end((await holders())[0]!)
  await expect.poll(() => states, WAIT).toEqual(['lost', 'held'])
  await end((await holders())[0]!)
  await expect.poll(() => states, WAIT).toEqual(['lost', 'held', 'lost', 'held'])
})

test('a session that does not answer is a lead lost, although nobody else can have it; its remains do not keep the one who left them from leading again', async () => {
  const { states } = await leading({ answerMs: 2_000 })
  const [pid] = await holders()
  standStill(pid!)
  await expect.poll(() => states, WAIT).toEqual(['lost'])
  await expect(leading({ startWaitMs: 0 })).rejects.toMatchObject({ code: 'STORE_IN_USE' })
  expect(states).toEqual(['lost'])
  goOn(pid!)
  await expect.poll(() => states, WAIT).toEqual(['lost', 'held'])
  expect(await holders()).not.toContain(pid)
})

test('one whose lead another has taken meanwhile says so, once, and does not lead again', async () => {
  const { lead, states } = await leading()
  const [pid] = await holders()
  const other = await database.pool.connect()
  const taken = other.query(`select pg_advisory_lock(l.classid::int, l.objid::int) from pg_locks l where l.pid = $1 and l.locktype = 'advisory'`, [pid])
  await expect.poll(() => isLockWaited(database.pool), WAIT).toBe(true)
  await end(pid!)
  await taken
  await expect.poll(() => states, WAIT).toEqual(['lost', 'taken'])
  await other.query('select pg_advisory_unlock_all()')
  other.release()
  expect(await holders()).toEqual([])
  await lead.close()
  expect(states).toEqual(['lost', 'taken'])
})

test('where the database is not there, the start says so', async () => {
  await expect(takeLead({ url: database.url.replace(/:\d+\//, ':1/'), onState: () => {} })).rejects.toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE' })
})
