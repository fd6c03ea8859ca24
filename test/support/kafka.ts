/** A real Apache Kafka broker for tests: at an address that is given, in a container, or of this machine's own (`docker/kafka/run-local`). */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../src/platform/postgres/postmaster.ts'
import { hasDocker } from './missing-kafka.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface Broker {
  /** `host:port`. */
  address: string
  /** Of its process, where that is one of this machine. */
  pid?: () => number
  stop (): Promise<void>
}

/** One that tests may maltreat. */
export interface OwnBroker extends Broker {
  /** `kill -9`. */
  kill (): Promise<void>
  /** After `kill`: on the same folder and port. */
  restart (): Promise<void>
  /** SIGSTOP and SIGCONT. */
  freeze (): void
  thaw (): void
}

export interface BrokerOptions {
  /** Its own, made by the caller. Default one of the test. */
  folder?: string
  /** @param port that clients use · @param controller port of the controller */
  properties?: (port: number, controller: number) => readonly string[]
  /** Users for SASL SCRAM, `name=password`. */
  scram?: readonly string[]
}

/** The version that `docker/kafka/pom.xml` names. */
const IMAGE = 'apache/kafka:4.3.1'
const RUN = fileURLToPath(new URL('../../docker/kafka/run-local', import.meta.url))
/** The libraries may have to be fetched. */
const START_TIMEOUT_MS = 300_000
const ASK_MS = 100

/** For tests that only use a broker, each under names of its own. */
export async function anyBroker (folder?: string): Promise<Broker> {
  const address = process.env['OXBOW_TEST_KAFKA']
  if (address !== undefined) return { address, stop: async () => {} }
  return hasDocker() ? containerBroker() : startBroker(folder === undefined ? {} : { folder })
}

/** Loaded where it is used: most machines that test have no engine. */
async function containerBroker (): Promise<Broker> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const port = await freePort()
  const container = await new GenericContainer(IMAGE)
    .withExposedPorts({ container: 9092, host: port })
    .withEnvironment({
      KAFKA_NODE_ID: '1', KAFKA_PROCESS_ROLES: 'broker,controller', KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093', KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093', KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT', KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false', KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1', KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1', KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1'
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(START_TIMEOUT_MS)
    .start()
  return { address: `127.0.0.1:${port}`, stop: async () => { await container.stop() } }
}

export async function startBroker ({ folder = temporaryFolder('kafka'), properties = plain, scram = [] }: BrokerOptions = {}): Promise<OwnBroker> {
  const [port, controller] = [await freePort(), await freePort()]
  const words = [folder, ...scram.flatMap(user => ['--scram', user]), `controller.quorum.voters=1@127.0.0.1:${controller}`, ...properties(port, controller)]
  let running = await run(words, port)
  const onExit = (): void => { running.kill('SIGKILL') }
  process.once('exit', onExit)
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (running.exitCode !== null || running.signalCode !== null) return
    const exited = once(running, 'exit')
    running.kill(signal)
    await exited
  }
  return {
    address: `127.0.0.1:${port}`,
    pid: () => running.pid!,
    kill: () => kill('SIGKILL'),
    restart: async () => { running = await run(words, port) },
    freeze: () => { running.kill('SIGSTOP') },
    thaw: () => { running.kill('SIGCONT') },
    async stop () {
      process.off('exit', onExit)
      // Nothing of it is needed any more.
      await kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

export function plain (port: number, controller: number): readonly string[] {
  return [`listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`, `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`]
}

/** Resolves when it takes connections. */
async function run (words: readonly string[], port: number): Promise<ChildProcess> {
  const child = spawn(RUN, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-4_000) })
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!await answers(port)) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the broker did not start: ${said}`)
    }
    await delay(ASK_MS)
  }
  return child
}

function answers (port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) }).on('error', () => { resolve(false) })
  return promise
}
