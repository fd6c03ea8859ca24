/** `docker/compose.yaml` as it stands, for tests: what they look at of it. */

import { readFileSync } from 'node:fs'
import { parseYaml } from './yaml.ts'

export interface ComposeService {
  image: string
  build?: { context: string, dockerfile: string }
  command?: string[]
  environment?: Record<string, string>
  secrets?: (string | { source: string, target: string })[]
  volumes?: string[]
  networks?: string[]
  ports?: string[]
  restart?: string
  healthcheck?: { test: string[] }
  depends_on?: Record<string, { condition: string }>
}

export interface Compose {
  services: Record<string, ComposeService>
  networks: Record<string, { internal?: boolean }>
  volumes: Record<string, object>
  secrets: Record<string, { file: string }>
}

export function secretNames ({ secrets = [] }: ComposeService): string[] { return secrets.map(secret => typeof secret === 'string' ? secret : secret.source) }

export const COMPOSE_FILE = 'docker/compose.yaml'
export const COMPOSE = parseYaml(readFileSync(COMPOSE_FILE, 'utf8')) as Compose
