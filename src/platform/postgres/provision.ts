/**
 * A superuser's connection -> roles and databases of the stores, each closed to the logins of every other. For the embedded cluster and
 * tests; on external PostgreSQL an administrator makes them (docs/operations.md) and only `migrate.ts` runs.
 */

import type { ClientBase } from 'pg'
import { roleNames, type Store } from './stores.ts'

/** Makes the roles of all stores that are missing, without a right of their own. @param passwordOf of a role */
export async function provisionRoles (admin: ClientBase, passwordOf: (role: string) => string): Promise<void> {
  const { rows } = await admin.query<{ rolname: string }>('SELECT rolname FROM pg_roles')
  const present = new Set(rows.map(({ rolname }) => rolname))
  const statements = roleNames().filter(role => !present.has(role)).map(role =>
    `CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD ${admin.escapeLiteral(passwordOf(role))}`)
  await admin.query([...statements, 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'].join(';\n'))
}

/** Makes `database` for a store unless it is there: its owner owns it, its logins may connect, nobody else. @param template a database to copy */
export async function provisionDatabase (admin: ClientBase, store: Store, database: string, template = 'template0'): Promise<void> {
  const name = admin.escapeIdentifier(database)
  const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [database])
  if (rowCount === 0) await admin.query(`CREATE DATABASE ${name} OWNER ${store.owner} TEMPLATE ${admin.escapeIdentifier(template)}`)
  const grants = store.logins.map(({ role, temporary }) => `GRANT CONNECT${temporary ? ', TEMPORARY' : ''} ON DATABASE ${name} TO ${role}`)
  await admin.query([`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`, ...grants].join(';\n'))
}
