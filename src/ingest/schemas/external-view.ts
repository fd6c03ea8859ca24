/** What `oxbow schema` sees where the schemas stand in an external registry: what was taken from it, and whether a mapping would break. Registering is done there. */

import type { Pool } from 'pg'
import type { DeviceModels } from '../../model/device-model.ts'
import { activationProblems } from './activation.ts'
import { compileSchema } from './compile-schema.ts'
import { formProblems, type RegistryView } from './registry.ts'
import { selectAllExternal, selectExternalBefore } from './registry-rows.ts'
import { SchemaRefusal } from './schema-refusal.ts'

/** @param registry its address */
export function createExternalView ({ pool, models, registry }: { pool: Pool, models: DeviceModels, registry: string }): RegistryView {
  return {
    all: () => selectAllExternal(pool, registry),
    async problems (subject, schema) {
      const compilation = compileSchema(schema)
      if (compilation.problems !== undefined) return [...compilation.problems]
      const before = await selectExternalBefore(pool, registry, subject)
      return [...activationProblems({ compiled: compilation.compiled, versions: before === undefined ? [] : [before], mode: 'NONE', models }), ...await formProblems(pool, compilation.compiled)]
    },
    register: async () => { throw new SchemaRefusal(405, 'schemas.registry names another registry: register there') }
  }
}
