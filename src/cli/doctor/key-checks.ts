/** What the key service says of the wrapping keys → a finding. */

import { type Check, ok, wrong } from './check.ts'

/** @param problems by key; asked by wrapping and opening with each */
export function keyServiceCheck (problems: () => Promise<readonly string[]>): Check {
  return {
    name: 'key service',
    run: async () => {
      const found = await problems()
      if (found.length === 0) return ok('every wrapping key wraps and opens')
      return wrong(found.join('; '), 'see that these keys are there and enabled, and that this login may use them (docs/operations.md, Keys in KMS)')
    }
  }
}
