/** Producers that nobody here wrote: kcat, and Confluent's client for Python with fastavro, write Avro in the Confluent wire format to a vendor's topic, in every codec. Every reading
 *  arrives, once, each device's in order; poison in the middle is in quarantine with its offset; the archive proves all of it. */

import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { TISSUE_OXYGEN_V2 } from '../../../src/ingest/decode/fixed-schemas.ts'
import type { Report } from '../../../src/stores/archive/verify.ts'
import { storedSeries, unrest } from '../../support/brute-force.ts'
import { openConfluentClient } from '../../support/confluent-python.ts'
import { createFhirClient, eventually } from '../../support/fhir-client.ts'
import { missingKcat } from '../../support/missing-kcat.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../../support/oxbow-process.ts'
import { asOwner } from '../../support/owner-view.ts'
import { framedV2, type SentV2 } from '../../support/telemetry.ts'
import { wearingBundle } from '../../support/ward-fixture.ts'

const python = openConfluentClient('foreign-producer.py')
const missing = missingKcat() ?? ('missing' in python ? python.missing : undefined)
if (missing !== undefined && process.env['OXBOW_REQUIRE'] === 'all') throw new Error(`OXBOW_REQUIRE=all: no foreign producers: ${missing}`)

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const DEVICES = ['vendor-1', 'vendor-2', 'vendor-3']
const PYTHON_MESSAGES = 300
const POISON_ROUNDS = 10
const START = Math.floor(Date.now() / 60_000) * 60_000 - 6 * 3_600_000

describe.skipIf(missing !== undefined)(`producers of others${missing === undefined ? '' : ` (${missing})`}`, () => {
  const dataDir = makeDataDir()
  const topic = `vendor-${process.pid}`
  const folder = join(dirname(dataDir), 'messages')
  const sent = new Map<string, number>()
  let broker = ''
  let oxbow: Oxbow
  let poisoned = 0
  let second = 0

  beforeAll(async () => {
    broker = inject('kafka')!
    mkdirSync(folder)
    const admin = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 3, replicationFactor: 1 }] })
    await admin.disconnect()
    oxbow = await startOxbow({
      dataDir,
      env: { OXBOW_STREAM_SILENCE: '2s', OXBOW_ARCHIVE_SLICE_TIME: '1s', OXBOW_INGEST_TOPICS: JSON.stringify([{ topic, content: 'confluent' }]) }
    })
    const token = await oxbow.token('system/*.cruds')
    const wearings = DEVICES.map(deviceId => ({ deviceId, mrn: `MRN-${deviceId}`, start: '2020-01-01T00:00:00.000Z' }))
    expect((await createFhirClient(oxbow.address, token).send('POST', '/fhir', wearingBundle(wearings))).status).toBe(200)
  })
  afterAll(() => endOxbow(oxbow, dataDir))

  function reading (deviceId: string): SentV2 {
    const takenAt = START + ++second * 1_000
    const value = 30 + second % 200 / 10
    sent.set(`${deviceId}/${takenAt}`, value)
    return {
      deviceId, patientId: null, timestamp_utc: takenAt, sequence: null, channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value }],
      battery_mv: null, firmware_version: null, signal_quality: 90
    }
  }
  async function kcat (codec: string, key: string, bytes: Buffer): Promise<void> {
    const file = join(folder, 'message')
    writeFileSync(file, bytes)
    await promisify(execFile)('kcat', ['-P', '-b', broker, '-t', topic, '-X', 'acks=all', '-z', codec, '-k', key, file])
  }

  test.each(CODECS)('kcat, %s', async codec => {
    for (const deviceId of DEVICES) await kcat(codec, deviceId, framedV2(Array.from({ length: 5 }, () => reading(deviceId))))
  })

  test.each(CODECS)('Python, %s', async codec => {
    const schema = join(folder, 'v2.avsc')
    const records = join(folder, 'records')
    writeFileSync(schema, JSON.stringify(TISSUE_OXYGEN_V2))
    writeFileSync(records, Array.from({ length: PYTHON_MESSAGES }, (_, place) => `${JSON.stringify(reading(DEVICES[place % DEVICES.length]!))}\n`).join(''))
    if (!('client' in python)) throw new Error(python.missing)
    expect(await python.client(broker, topic, codec, schema, '2', records)).toEqual({ sent: PYTHON_MESSAGES, failed: [] })
  })

  test('poison in the middle, 10 times', async () => {
    for (let round = 0; round < POISON_ROUNDS; round++) {
      const deviceId = DEVICES[round % DEVICES.length]!
      await kcat('none', deviceId, framedV2([reading(deviceId)]))
      await kcat('lz4', deviceId, Buffer.from(`poison ${round}`))
      await kcat('none', deviceId, framedV2([reading(deviceId)]))
      poisoned++
    }
  })

  test('every reading is stored once, with its value, each device in the order of its sending', async () => {
    await eventually(async () => {
      expect(await asOwner(dataDir, unrest)).toEqual([])
      expect((await asOwner(dataDir, storedSeries)).reduce((sum, { rows }) => sum + rows.length, 0)).toBe(sent.size)
    }, 120_000)
    const series = await asOwner(dataDir, storedSeries)
    const stored = series.flatMap(({ deviceId, rows }) => rows.map(({ takenAt, values }) => [`${deviceId}/${takenAt}`, values[0]] as const))
    expect(new Map(stored)).toEqual(sent)
    for (const { rows } of series) {
      const offsets = rows.toSorted((a, b) => a.takenAt - b.takenAt).map(({ offset }) => offset)
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
    }
  })

  test('the poison is in quarantine, each with the offset it came at', async () => {
    const { rows } = await asOwner(dataDir, view => view.pool('bus').query<{ reason: string, source: string, seen: number }>('select reason, source, times_seen as seen from quarantine.item order by source'))
    expect(rows.map(({ reason, seen }) => `${reason} ${seen}`)).toEqual(Array(poisoned).fill('malformed 1'))
    expect(rows.every(({ source }) => new RegExp(`^kafka/${topic}/\\d/\\d+$`).test(source))).toBe(true)
    expect(new Set(rows.map(({ source }) => source)).size).toBe(poisoned)
  })

  test('the archive holds every message of the topic', async () => {
    const verify = async () => JSON.parse((await oxbow.verb('archive', 'verify', '--json')).stdout) as Report
    await eventually(async () => { expect((await verify()).underway.records).toBe(0) }, 60_000)
    const report = await verify()
    expect(report.findings).toEqual([])
    expect(report.readings.opened).toBe(sent.size)
    expect(report.requests!.complete + report.requests!.redelivered).toBe(CODECS.length * (DEVICES.length + PYTHON_MESSAGES) + 3 * POISON_ROUNDS)
  })
})
