/** `meta.tag` of everything that belongs to the demonstration ward. */

import type { Coding } from '@medplum/fhirtypes'
import { CANONICAL } from '../../model/identifier.ts'

export const DEMO_CODING: Coding = { system: `${CANONICAL}/CodeSystem/demonstration`, code: 'DEMO', display: 'Demonstration data' }
