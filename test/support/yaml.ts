/** YAML as Docker's compose reads it, merge keys included: by the parser that the container library of the tests brings. */

import { createRequire } from 'node:module'

const containers = createRequire(createRequire(import.meta.url).resolve('testcontainers'))
const { parse } = createRequire(containers.resolve('docker-compose'))('yaml') as { parse (text: string, options: { merge: boolean }): unknown }

export function parseYaml (text: string): unknown { return parse(text, { merge: true }) }
