/** Connection string of a store -> what it points at, and whether stores stand apart (law 3). */

import { ServiceError } from '../../model/errors.ts'

export interface StoreAddress { store: string, host: string, port: number, database: string, role: string }

/** What a connection string points at, without its password. @throws ServiceError incorrect CONFIG_INVALID when it is no `postgres://` URL with user and database */
export function addressOf (store: string, url: string): StoreAddress {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const database = decodeURIComponent(parsed?.pathname.slice(1) ?? '')
  if (parsed === undefined || !/^postgres(ql)?:$/.test(parsed.protocol) || parsed.username === '' || database === '') {
    throw new ServiceError('incorrect', 'CONFIG_INVALID', `the connection string of ${store} is not postgres://ROLE:PASSWORD@HOST:PORT/DATABASE`)
  }
  return { store, host: parsed.hostname, port: Number(parsed.port || 5432), database, role: decodeURIComponent(parsed.username) }
}

/** What two stores have in common. */
export interface Sharing { stores: readonly [string, string], what: 'database' | 'role', name: string }

/** Stores that share a database or a role, each pair once. */
export function sharings (addresses: readonly StoreAddress[]): Sharing[] {
  const found = new Map<string, Sharing>()
  const add = (sharing: Sharing) => { found.set(JSON.stringify(sharing), sharing) }
  for (const [index, one] of addresses.entries()) {
    for (const other of addresses.slice(index + 1).filter(({ store }) => store !== one.store)) {
      const stores = [one.store, other.store] as const
      if (isSameServer(one, other) && one.database === other.database) add({ stores, what: 'database', name: one.database })
      if (one.role === other.role) add({ stores, what: 'role', name: one.role })
    }
  }
  return [...found.values()]
}

export function isSameServer (one: StoreAddress, other: StoreAddress): boolean { return one.host === other.host && one.port === other.port }

/** No two stores in one database, no role in two stores. @throws ServiceError incorrect CONFIG_INVALID naming the stores, never a value */
export function assertApart (addresses: readonly StoreAddress[]): void {
  const [first] = sharings(addresses)
  if (first === undefined) return
  throw new ServiceError('incorrect', 'CONFIG_INVALID', `stores ${first.stores.join(' and ')} share a ${first.what}: identity and measurements must stand apart`)
}
