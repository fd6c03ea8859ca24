/** Real sensor exports that stand beside the project and may not be shipped with it; a test that needs one is skipped, and says so, where they are missing. */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = new URL('../../../shared/recordings/', import.meta.url)

export const hasRecordings = existsSync(FOLDER)

if (!hasRecordings && process.env['OXBOW_REQUIRE'] === 'all') throw new Error(`OXBOW_REQUIRE=all: the recordings are missing at ${fileURLToPath(FOLDER)}`)

export function recordingPath (name: string): string { return fileURLToPath(new URL(name, FOLDER)) }
export function recordingText (name: string): string { return readFileSync(recordingPath(name), 'utf8') }
