/** What the databases say of their logins and of themselves → findings: reachable, apart, durable, up to date, their clock. */

import type { EpochMs } from '../../model/units.ts'
import type { LoginFacts } from '../../platform/postgres/inspect.ts'
import { isSameServer, sharings, type StoreAddress } from '../../platform/postgres/store-address.ts'
import { type Check, type Finding, note, ok, reasonOf, wrong } from './check.ts'

export interface StoreParts {
  /** Of every login and owner, without passwords. */
  addresses: readonly StoreAddress[]
  inspect (address: StoreAddress): Promise<LoginFacts>
  stores: readonly string[]
  /** Files that have not run, by store. */
  pendingMigrations (store: string): Promise<readonly string[]>
  now (): EpochMs
}

const CLOCK_WRONG_MS = 5_000
const CLOCK_NOTED_MS = 1_000

interface Known { address: StoreAddress, facts: LoginFacts, answeredAt: EpochMs }
type Answer = Known | { address: StoreAddress, reason: string }

export function storeChecks (parts: StoreParts): Check[] {
  let asked: Promise<Answer[]> | undefined
  const answers = () => asked ??= Promise.all(parts.addresses.map(async (address): Promise<Answer> => {
    try {
      const facts = await parts.inspect(address)
      return { address, facts, answeredAt: parts.now() }
    } catch (error) {
      return { address, reason: reasonOf(error) }
    }
  }))
  const known = async () => (await answers()).flatMap(answer => 'facts' in answer ? [answer] : [])
  return [
    ...parts.stores.map(store => ({ name: `database ${store}`, run: async () => reachable((await answers()).filter(({ address }) => address.store === store)) })),
    { name: 'apart', run: async () => apart(parts.addresses, await known()) },
    { name: 'durability', run: async () => durable(await known()) },
    { name: 'clock', run: async () => clock(await known()) },
    { name: 'migrations', run: () => migrations(parts) }
  ]
}

function reachable (answers: readonly Answer[]): Finding {
  const failures = answers.flatMap(answer => 'reason' in answer ? [`${nameOf(answer.address)}: ${answer.reason}`] : [])
  if (failures.length > 0) return wrong(failures.join('; '), 'see that PostgreSQL runs there, that the role exists and that its connection string is right')
  return ok(answers.map(({ address }) => nameOf(address)).join(', '))
}

/** No shared database, no shared role, and no login that could enter another store (law 3). */
function apart (addresses: readonly StoreAddress[], answers: readonly Known[]): Finding {
  const problems = sharings(addresses).map(({ stores, what, name }) => `stores ${stores.join(' and ')} share the ${what} ${name}`)
  for (const { address, facts } of answers) {
    if (facts.isPrivileged) problems.push(`role ${facts.role} has rights of an administrator`)
    const doors = addresses.filter(other => other.store !== address.store && isSameServer(other, address) && facts.mayConnectTo.includes(other.database))
    for (const database of new Set(doors.map(other => other.database))) problems.push(`role ${facts.role} of store ${address.store} may connect to ${database}`)
  }
  if (problems.length === 0) return ok('every store has a database and roles of its own, and no login may enter another')
  return wrong([...new Set(problems)].join('; '), 'give each store a database and roles of its own, and REVOKE CONNECT (docs/operations.md, External PostgreSQL)')
}

/** What was acknowledged must survive a power cut (law 5). */
function durable (answers: readonly Known[]): Finding {
  const problems = answers.flatMap(({ address, facts }) => Object.entries(facts.durability)
    // `local` waits for our own disk, `remote_…` for others as well; only `off` does not wait.
    .filter(([, value]) => value === 'off').map(([setting]) => `${setting} is off for store ${address.store}`))
  if (problems.length > 0) return wrong([...new Set(problems)].join('; '), 'set it to on: an acknowledged reading may be lost otherwise')
  const versions = new Set(answers.map(({ facts }) => facts.version))
  return versions.size === 0 ? note('no database answers') : ok(`PostgreSQL ${[...versions].join(', ')}; commits are on disk before they are acknowledged`)
}

function clock (answers: readonly Known[]): Finding {
  if (answers.length === 0) return note('no database answers')
  // An answer's way takes time; what lies within it is no difference of clocks.
  const differenceMs = Math.max(...answers.map(({ facts, answeredAt }) => Math.max(0, Math.abs(answeredAt - facts.clock) - facts.tookMs)))
  const message = `this machine and PostgreSQL differ by ${(differenceMs / 1_000).toFixed(1)} s`
  if (differenceMs > CLOCK_WRONG_MS) return wrong(message, 'set up time synchronisation on both: windows and tokens depend on it')
  return differenceMs > CLOCK_NOTED_MS ? note(message, 'set up time synchronisation on both') : ok(message)
}

async function migrations ({ stores, pendingMigrations }: StoreParts): Promise<Finding> {
  const pending = (await Promise.all(stores.map(pendingMigrations))).flat()
  return pending.length === 0 ? ok('all have run') : note(`not run yet: ${pending.join(', ')}`, 'they run at the next start; make a backup first')
}

function nameOf ({ host, port, database, role }: StoreAddress): string { return `${role}@${host}:${port}/${database}` }
