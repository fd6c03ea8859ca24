/** What the product itself brings: its version, and the folders that ship with it. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const VERSION = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version

/** Metric mappings, one file each. */
export const MAPPINGS_FOLDER = fileURLToPath(new URL('../../mappings', import.meta.url))

/** Device models, one file each. */
export const MODELS_FOLDER = fileURLToPath(new URL('../../mappings/models', import.meta.url))
