/** A pause that ends early when it is told to. */

import { setTimeout as delay } from 'node:timers/promises'

/** Resolves after `ms`, or at once when the signal is aborted; never rejects. */
export function pause (ms: number, signal: AbortSignal): Promise<void> { return delay(ms, undefined, { signal }).catch(() => {}) }
