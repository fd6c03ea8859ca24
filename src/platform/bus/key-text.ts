/** Bytes of a record's key → its text. */

import { createTextMemory } from '../../model/text-memory.ts'

/** Keys come again with every record of theirs. */
const KEYS_REMEMBERED = 1 << 15

export const keyText = createTextMemory(KEYS_REMEMBERED)
