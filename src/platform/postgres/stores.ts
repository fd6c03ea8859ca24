/**
 * The stores and who may log in to them: one database each, an owner for migrations, least-privilege logins for the server.
 *
 * Role names are fixed: roles belong to the whole cluster, so migrations name them in GRANT as they stand here, and the same logins
 * serve every database made for a store (tests make many). Only the right to CONNECT is per database (`provision.ts`).
 */

export type StoreName = 'bus' | 'linkage' | 'series' | 'audit' | 'keys'

export interface StoreLogin {
  role: string
  /** May make temporary tables (staging of a writer, gathering of a proof). */
  temporary: boolean
}

export interface MigrationFolder {
  /** Folder below `src/`, as recorded in `oxbow_migration`. */
  room: string
  /** A missing folder holds no migrations. */
  url: URL
}

export interface Store {
  name: StoreName
  database: string
  /** Owns the database and everything in it; used by migrations alone. */
  owner: string
  /** Logins of the server, main login first. */
  logins: readonly StoreLogin[]
  /** Trusted extensions that migrations may rely on. */
  extensions: readonly string[]
  /** In the order they run. */
  migrations: readonly MigrationFolder[]
}

function store (name: StoreName, logins: readonly StoreLogin[], rooms: readonly string[], extensions: readonly string[] = []): Store {
  const migrations = rooms.map(room => ({ room, url: new URL(`../../${room}/migrations/`, import.meta.url) }))
  return { name, database: `oxbow_${name}`, owner: `oxbow_${name}_owner`, logins, extensions, migrations }
}
const login = (role: string, options: { temporary?: boolean } = {}): StoreLogin => ({ role, temporary: options.temporary ?? false })

export const STORES: Readonly<Record<StoreName, Store>> = {
  bus: store('bus', [login('oxbow_bus'), login('oxbow_ingest'), login('oxbow_archive', { temporary: true })],
    ['platform/bus', 'ingest/quarantine', 'ingest/schemas', 'ingest/topics', 'stores/archive']),
  linkage: store('linkage', [login('oxbow_linkage'), login('oxbow_delivery')], ['stores/linkage', 'fhir/egress'], ['btree_gist']),
  series: store('series', [login('oxbow_series', { temporary: true }), login('oxbow_series_ro')], ['stores/series']),
  audit: store('audit', [login('oxbow_audit')], ['audit']),
  keys: store('keys', [login('oxbow_keys')], ['platform/keys'])
}

export const STORE_NAMES = Object.keys(STORES) as readonly StoreName[]

/** Every role of every store: owners and logins. */
export function roleNames (): readonly string[] {
  return Object.values(STORES).flatMap(({ owner, logins }) => [owner, ...logins.map(({ role }) => role)])
}
