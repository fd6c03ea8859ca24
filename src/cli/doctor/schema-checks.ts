/** What is registered, against the device models as they are now → a finding: a model may have changed since. */

import { compileSchema } from '../../ingest/schemas/compile-schema.ts'
import { mappingProblems } from '../../ingest/schemas/mapping-check.ts'
import type { StoredVersion } from '../../ingest/schemas/registry-rows.ts'
import type { DeviceModels } from '../../model/device-model.ts'
import { type Check, note, ok, wrong } from './check.ts'

export interface SchemaParts {
  /** The active version of each subject. */
  active (): Promise<readonly StoredVersion[]>
  models (): Promise<DeviceModels>
}

const SHOWN_MAX = 5

export function schemaCheck ({ active, models }: SchemaParts): Check {
  return {
    name: 'schemas',
    run: async () => {
      const [versions, known] = await Promise.all([active(), models()])
      const problems = versions.flatMap(version => problemsOf(version, known))
      if (problems.length > 0) {
        return wrong(`${problems.slice(0, SHOWN_MAX).join('; ')}${problems.length > SHOWN_MAX ? ` and ${problems.length - SHOWN_MAX} more` : ''}`,
          'mend the device models, or register a version that fits them: values that do not fit go to quarantine')
      }
      return versions.length === 0 ? note('none registered') : ok(`${versions.length} subjects, whose active schemas fit the device models`)
    }
  }
}

function problemsOf (version: StoredVersion, models: DeviceModels): string[] {
  const compilation = compileSchema(version)
  const problems = compilation.problems ?? mappingProblems(compilation.compiled, undefined, models)
  return problems.map(problem => `${version.subject} version ${version.version}: ${problem}`)
}
