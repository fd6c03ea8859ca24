/** A broker of one's own that servers reach through a proxy alone, and tests by another door. */

import { freePort } from '../../src/platform/postgres/postmaster.ts'
import { type OwnBroker, startBroker } from './kafka.ts'
import { type LossyProxy, startLossyProxy } from './lossy-proxy.ts'

export interface ProxiedBroker {
  broker: OwnBroker
  proxy: LossyProxy
  /** `host:port` of the proxy. */
  address: string
  stop (): Promise<void>
}

export async function startProxiedBroker (): Promise<ProxiedBroker> {
  const behind = await freePort()
  const proxy = await startLossyProxy(() => behind)
  const broker = await startBroker({
    properties: (port, controller) => [
      `listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${behind},CONTROLLER://127.0.0.1:${controller}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${proxy.port}`,
      'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT'
    ]
  })
  return {
    broker,
    proxy,
    address: `127.0.0.1:${proxy.port}`,
    async stop () {
      await broker.stop()
      await proxy.close()
    }
  }
}
