/** A PostgreSQL of its own -> what the containers of docker/compose.yaml make of it: secrets, databases and roles, and the settings that lead there. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { COMPOSE } from './compose.ts'

export interface ComposeDatabases {
  /** Of the service `oxbow`, with its files where they stand here. */
  env: Record<string, string>
  passwordOf (role: string): string
}

export interface ComposeDatabasesOptions {
  folder: string
  /** Of a server whose superuser has the password in `secrets/postgres_admin`. */
  port: number
  /** What stands for docs/examples/external-postgres.sql. */
  script: string
}

/** Runs `make-secrets`. @returns password of the superuser */
export function makeSecrets (folder: string): string {
  execFileSync('docker/compose/make-secrets', [join(folder, 'secrets')], { stdio: 'pipe' })
  return readFileSync(join(folder, 'secrets', 'postgres_admin'), 'utf8').trim()
}

/** Runs `init-postgres.sh`, and turns the connection strings to the port here. */
export function makeComposeDatabases ({ folder, port, script }: ComposeDatabasesOptions): ComposeDatabases {
  const secrets = join(folder, 'secrets')
  const secret = (name: string) => readFileSync(join(secrets, name), 'utf8')
  execFileSync('docker/compose/init-postgres.sh', [], {
    stdio: 'pipe',
    env: {
      PATH: process.env['PATH'], PGHOST: '127.0.0.1', PGPORT: String(port), PGPASSWORD: secret('postgres_admin').trim(),
      OXBOW_SCRIPT: script, OXBOW_ROLES: join(secrets, 'postgres_roles')
    }
  })
  const here = join(folder, 'here')
  mkdirSync(here)
  const env = Object.fromEntries(Object.entries(COMPOSE.services['oxbow']!.environment!).map(([name, value]) => {
    const file = /^\/run\/secrets\/(.+)$/.exec(value)?.[1]
    if (file === undefined) return [name, value]
    writeFileSync(join(here, file), secret(file).replace('@postgres:5432/', `@127.0.0.1:${port}/`))
    return [name, join(here, file)]
  }))
  const passwords = new Map(secret('postgres_roles').trim().split('\n').map(line => line.split('=') as [string, string]))
  return { env: { ...env, OXBOW_DATA_DIR: join(folder, 'oxbow') }, passwordOf: role => passwords.get(role)! }
}
