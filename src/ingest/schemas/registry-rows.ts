/** The SQL of the registry (database `oxbow_bus`, schema `registry`, login `oxbow_ingest`). */

import { hash } from 'node:crypto'
import type { ClientBase, Pool } from 'pg'
import { storeQuery } from '../../platform/postgres/pool.ts'
import type { SchemaText, SchemaType } from './compiled-schema.ts'
import type { Mode } from './compatibility.ts'

type Db = Pick<ClientBase | Pool, 'query'>

export interface StoredSchema extends SchemaText { id: number }
export interface StoredVersion extends StoredSchema { subject: string, version: number }

/** What makes two schemas the same. */
export function digestOf ({ type, text }: SchemaText): Buffer { return hash('sha256', `${type}\n${text}`, 'buffer') }

/** Held to the end of the transaction: versions of all subjects are made one after the other. */
export async function lockRegistry (db: Db): Promise<void> { await storeQuery(db, `SELECT pg_advisory_xact_lock(hashtext('oxbow schema registry'))`) }

export async function selectSubjects (db: Db): Promise<string[]> {
  const { rows } = await storeQuery<{ subject: string }>(db, 'SELECT DISTINCT subject FROM registry.version ORDER BY subject')
  return rows.map(({ subject }) => subject)
}

export async function countSubjects (db: Db): Promise<number> {
  const { rows } = await storeQuery<{ count: number }>(db, 'SELECT count(DISTINCT subject)::int AS count FROM registry.version')
  return rows[0]!.count
}

/** Of a subject, ascending; [] when there is none. */
export async function selectVersions (db: Db, subject: string): Promise<StoredVersion[]> {
  const { rows } = await storeQuery<{ subject: string, version: number, id: number, type: SchemaType, text: string }>(db, `
    SELECT v.subject, v.version, s.id, s.type, s.text FROM registry.version v JOIN registry.schema s ON s.id = v.schema_id WHERE v.subject = $1 ORDER BY v.version`, [subject])
  return rows
}

/** Of all subjects, without their texts. */
export async function selectAllVersions (db: Db): Promise<Omit<StoredVersion, 'text'>[]> {
  const { rows } = await storeQuery<{ subject: string, version: number, id: number, type: SchemaType }>(db, `
    SELECT v.subject, v.version, s.id, s.type FROM registry.version v JOIN registry.schema s ON s.id = v.schema_id ORDER BY v.subject, v.version`)
  return rows
}

/** The newest version of each subject, of all registries. */
export async function selectActive (db: Db): Promise<StoredVersion[]> {
  const { rows } = await storeQuery<{ subject: string, version: number, id: number, type: SchemaType, text: string }>(db, `
    SELECT DISTINCT ON (v.registry, v.subject) v.subject, v.version, s.id, s.type, s.text
    FROM (SELECT '' AS registry, subject, version, schema_id FROM registry.version UNION ALL SELECT registry, subject, version, schema_id FROM registry.foreign_schema) v
    JOIN registry.schema s ON s.id = v.schema_id ORDER BY v.registry, v.subject, v.version DESC`)
  return rows
}

export async function selectSchema (db: Db, id: number): Promise<StoredSchema | undefined> {
  const { rows } = await storeQuery<{ id: number, type: SchemaType, text: string }>(db, 'SELECT id, type, text FROM registry.schema WHERE id = $1', [id])
  return rows[0]
}

export async function selectByDigest (db: Db, digest: Buffer): Promise<number | undefined> {
  const { rows } = await storeQuery<{ id: number }>(db, 'SELECT id FROM registry.schema WHERE digest = $1', [digest])
  return rows[0]?.id
}

/** The first of those with this form: all of them are read alike. */
export async function selectByForm (db: Db, form: string): Promise<StoredSchema | undefined> {
  const { rows } = await storeQuery<{ id: number, type: SchemaType, text: string }>(db, 'SELECT id, type, text FROM registry.schema WHERE form = $1 ORDER BY id LIMIT 1', [form])
  return rows[0]
}

export async function selectSubjectsOf (db: Db, id: number): Promise<{ subject: string, version: number }[]> {
  const { rows } = await storeQuery<{ subject: string, version: number }>(db, 'SELECT subject, version FROM registry.version WHERE schema_id = $1 ORDER BY subject, version', [id])
  return rows
}

/** Gives the new id. */
export async function insertSchema (db: Db, { type, text }: SchemaText, form: string | undefined): Promise<number> {
  const { rows } = await storeQuery<{ id: number }>(db, `
    INSERT INTO registry.schema (id, type, text, digest, form) VALUES (nextval('registry.schema_id'), $1, $2, $3, $4) RETURNING id`,
  [type, text, digestOf({ type, text }), form ?? null])
  return rows[0]!.id
}

export async function insertVersion (db: Db, subject: string, version: number, id: number): Promise<void> {
  await storeQuery(db, 'INSERT INTO registry.version (subject, version, schema_id) VALUES ($1, $2, $3)', [subject, version, id])
}

/** @param subject '' for that of all */
export async function selectMode (db: Db, subject: string): Promise<Mode | undefined> {
  const { rows } = await storeQuery<{ compatibility: Mode }>(db, 'SELECT compatibility FROM registry.config WHERE subject = $1', [subject])
  return rows[0]?.compatibility
}

export async function upsertMode (db: Db, subject: string, mode: Mode): Promise<void> {
  await storeQuery(db, 'INSERT INTO registry.config (subject, compatibility) VALUES ($1, $2) ON CONFLICT (subject) DO UPDATE SET compatibility = excluded.compatibility', [subject, mode])
}

/** Our id of a schema of an external registry, if it was taken. */
export async function selectExternal (db: Db, registry: string, externalId: number): Promise<number | undefined> {
  const { rows } = await storeQuery<{ id: number }>(db, 'SELECT schema_id AS id FROM registry.foreign_schema WHERE registry = $1 AND foreign_id = $2 LIMIT 1', [registry, externalId])
  return rows[0]?.id
}

/** The newest version of the subject before this one that was taken. @param version absent: of all */
export async function selectExternalBefore (db: Db, registry: string, subject: string, version?: number): Promise<SchemaText & { version: number } | undefined> {
  const { rows } = await storeQuery<{ version: number, type: SchemaType, text: string }>(db, `
    SELECT f.version, s.type, s.text FROM registry.foreign_schema f JOIN registry.schema s ON s.id = f.schema_id
    WHERE f.registry = $1 AND f.subject = $2 AND ($3::int IS NULL OR f.version < $3) ORDER BY f.version DESC LIMIT 1`, [registry, subject, version ?? null])
  return rows[0]
}

/** All that were taken from it, newest first, under whatever subject. */
export async function selectTaken (db: Db, registry: string, type: SchemaType): Promise<(SchemaText & { version: number })[]> {
  const { rows } = await storeQuery<SchemaText & { version: number }>(db, `
    SELECT version, type, text FROM (SELECT DISTINCT ON (s.id) f.version, s.type, s.text, f.taken_at FROM registry.foreign_schema f JOIN registry.schema s ON s.id = f.schema_id
      WHERE f.registry = $1 AND s.type = $2 ORDER BY s.id, f.taken_at DESC) AS taken ORDER BY taken_at DESC`, [registry, type])
  return rows
}

export async function insertExternal (db: Db, registry: string, externalId: number, subjects: readonly { subject: string, version: number }[], id: number): Promise<void> {
  await storeQuery(db, `
    INSERT INTO registry.foreign_schema (registry, foreign_id, subject, version, schema_id) SELECT $1, $2, subject, version, $5
    FROM unnest($3::text[], $4::int[]) AS t (subject, version) ON CONFLICT DO NOTHING`,
  [registry, externalId, subjects.map(({ subject }) => subject), subjects.map(({ version }) => version), id])
}

/** What was taken from an external registry, by its subjects and versions. */
export async function selectAllExternal (db: Db, registry: string): Promise<Omit<StoredVersion, 'text'>[]> {
  const { rows } = await storeQuery<{ subject: string, version: number, id: number, type: SchemaType }>(db, `
    SELECT f.subject, f.version, s.id, s.type FROM registry.foreign_schema f JOIN registry.schema s ON s.id = f.schema_id WHERE f.registry = $1 ORDER BY f.subject, f.version`, [registry])
  return rows
}
