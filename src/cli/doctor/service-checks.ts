/** What a rented service says when it is asked for what we need of it → a finding. */

import { type Check, ok, wrong } from './check.ts'

export interface ServiceParts {
  name: string
  /** What is so when there are no problems. */
  well: string
  /** What to do about any. */
  todo: string
  problems (): Promise<readonly string[]>
}

export function serviceCheck ({ name, well, todo, problems }: ServiceParts): Check {
  return {
    name,
    run: async () => {
      const found = await problems()
      return found.length === 0 ? ok(well) : wrong(found.join('; '), todo)
    }
  }
}
