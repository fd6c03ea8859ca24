/** Whether a schema may become the next version of a subject: everything that can be judged without asking a store. */

import type { DeviceModels } from '../../model/device-model.ts'
import { compatibilityProblems, type EarlierVersion, type Mode } from './compatibility.ts'
import { compileSchema } from './compile-schema.ts'
import type { CompiledSchema, SchemaText } from './compiled-schema.ts'
import { mappingProblems } from './mapping-check.ts'

export interface Version extends SchemaText { version: number }

export interface Candidate {
  compiled: CompiledSchema
  /** Of its subject, ascending. */
  versions: readonly Version[]
  /** Only this version is compared on the wire; absent: those that the mode says. */
  against?: Version | undefined
  /** NONE: the wire is not judged here. */
  mode: Mode | 'NONE'
  models: DeviceModels
}

/** [] when it may. */
export function activationProblems ({ compiled, versions, against, mode, models }: Candidate): string[] {
  const reasons: string[] = []
  const earlier: EarlierVersion[] = []
  for (const stored of versions) {
    const compilation = compileSchema(stored)
    if (compilation.problems === undefined) earlier.push({ version: stored.version, compiled: compilation.compiled })
    else reasons.push(`version ${stored.version} cannot be read any more: ${compilation.problems.join('; ')}`)
  }
  const compared = against === undefined ? earlier : earlier.filter(({ version }) => version === against.version)
  return [...reasons, ...mode === 'NONE' ? [] : compatibilityProblems(compiled, compared, mode), ...mappingProblems(compiled, earlier.at(-1)?.compiled, models)]
}
