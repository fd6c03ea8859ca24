/** A broker for the end-to-end tests on Kafka: one for all of them, each server has topics of its own. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { anyBroker, type Broker } from './kafka.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** `host:port` of the broker that servers are to use; absent: they have the embedded bus. */
    kafka?: string
    /** Its process, where it is one of this machine that tests may stop for a while. */
    kafkaPid?: number
  }
}

let broker: Broker | undefined

export async function setup (project: TestProject): Promise<void> {
  const folder = join(project.getProvidedContext().temporaryRoot, 'kafka')
  mkdirSync(folder)
  broker = await anyBroker(folder)
  project.provide('kafka', broker.address)
  if (broker.pid !== undefined) project.provide('kafkaPid', broker.pid())
}

export async function teardown (): Promise<void> { await broker?.stop() }
