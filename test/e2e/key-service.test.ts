/** A server whose wrapping keys are in KMS: readings flow, a standing key service refuses in words and loses nothing, a start without it says what is missing. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WRAPPING_KEYS } from '../../src/config/schema.ts'
import { createFhirClient, type FhirClient } from '../support/fhir-client.ts'
import { missingMoto } from '../support/missing-moto.ts'
import { type Moto, MOTO_LOGIN, startMoto } from '../support/moto.ts'
import { endOxbow, makeDataDir, type Oxbow, runServe, runVerb, startOxbow } from '../support/oxbow-process.ts'

const missing = missingMoto()
const START = Math.floor((Date.now() - 300_000) / 60_000) * 60_000

describe.skipIf(missing !== undefined)(`keys in KMS${missing === undefined ? '' : ` (${missing})`}`, () => {
  const dataDir = makeDataDir()
  let moto: Moto
  let oxbow: Oxbow | undefined
  let env: Record<string, string>

  beforeAll(async () => {
    moto = await startMoto()
    const admin = new KMSClient({ ...MOTO_LOGIN, endpoint: moto.endpoint })
    for (const name of WRAPPING_KEYS) {
      const { KeyMetadata } = await admin.send(new CreateKeyCommand({}))
      await admin.send(new CreateAliasCommand({ AliasName: `alias/oxbow-${name}`, TargetKeyId: KeyMetadata!.KeyId! }))
    }
    admin.destroy()
    const secretFile = join(dataDir, '..', 'kms-secret')
    writeFileSync(secretFile, 'test\n', { mode: 0o600 })
    env = {
      OXBOW_MODE: 'production', OXBOW_KEYS_KIND: 'kms', OXBOW_KMS_REGION: MOTO_LOGIN.region, OXBOW_KMS_ENDPOINT: moto.endpoint,
      OXBOW_KMS_ACCESS_KEY_ID: 'test', OXBOW_KMS_SECRET_ACCESS_KEY_FILE: secretFile, OXBOW_KMS_KEYS: JSON.stringify(Object.fromEntries(WRAPPING_KEYS.map(name => [name, [`alias/oxbow-${name}`]])))
    }
  }, 120_000)

  afterAll(async () => {
    await endOxbow(oxbow, dataDir)
    await moto?.stop()
  })

  const readings = (device: string, from: number) => Array.from({ length: 20 }, (_, second) => JSON.stringify({
    deviceId: device, patientId: null, timestamp_utc: START + (from + second) * 1_000, spo2: 97.1, local_tissue_o2: 41.2, battery_mv: 3710, firmware_version: '1.2.3', signal_quality: 93
  })).join('\n')

  async function start (own = env): Promise<FhirClient> {
    oxbow = await startOxbow({ dataDir, env: own })
    return createFhirClient(oxbow.address, await oxbow.token('__telemetry.write system/*.cruds'))
  }

  /** Nothing that this machine may hold for AWS is found either. */
  function withoutLogin (): Record<string, string> {
    const { OXBOW_KMS_ACCESS_KEY_ID: _id, OXBOW_KMS_SECRET_ACCESS_KEY_FILE: _secret, OXBOW_KMS_REGION: _region, ...rest } = env
    const nowhere = join(dataDir, '..', 'no-such')
    return { ...rest, AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_PROFILE: '', AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: nowhere, AWS_SHARED_CREDENTIALS_FILE: nowhere }
  }

  test('in production a server with its keys in a file is refused, and one with its keys in KMS starts', async () => {
    const refused = await runServe({ dataDir, env: { ...env, OXBOW_KEYS_KIND: 'local' } })
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/the local key ring is refused in production/)])
    const ehr = await start()
    expect((await ehr.send('POST', '/fhir', JSON.parse(readFileSync('docs/examples/first-patient.json', 'utf8')))).status).toBe(200)
    const { status, body } = await ehr.telemetry(readings('device-42', 0), 'application/x-ndjson')
    expect([status, body]).toMatchObject([200, { accepted: 20 }])
    // Nobody wears this one: its readings are sealed under the key of the day.
    expect((await ehr.telemetry(readings('device-77', 0), 'application/x-ndjson')).body).toMatchObject({ quarantined: 20 })
    const { code, stdout } = await oxbow!.verb('doctor', '--json')
    expect([code, (JSON.parse(stdout) as { checks: object[] }).checks]).toEqual([0, expect.arrayContaining([expect.objectContaining({ name: 'key service', verdict: 'ok' })])])
  })

  test('another start, also with a login as the SDK finds it, opens what the first one sealed; while the key service stands still readings under new keys are refused, and taken when it goes on', async () => {
    await oxbow!.stop()
    const ehr = await start()
    expect((await ehr.telemetry(readings('device-42', 0), 'application/x-ndjson')).body).toMatchObject({ accepted: 20 })
    await oxbow!.stop()
    const again = await start({ ...withoutLogin(), AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: MOTO_LOGIN.region })
    moto.freeze()
    const during = await again.telemetry(readings('device-42', 20), 'application/x-ndjson')
    moto.thaw()
    expect([during.status, JSON.stringify(during.body)]).toEqual([503, expect.stringContaining('STORE_UNAVAILABLE')])
    expect((await again.telemetry(readings('device-42', 20), 'application/x-ndjson')).body).toMatchObject({ accepted: 20 })
  })

  test('a start without the key service, and the doctor, say what is missing', async () => {
    await oxbow!.stop()
    oxbow = undefined
    const keys = { ...JSON.parse(env['OXBOW_KMS_KEYS']!) as object, audit: ['alias/canary'] }
    const refused = await runServe({ dataDir, env: { ...env, OXBOW_KMS_KEYS: JSON.stringify(keys) } })
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/the key service does not give the use of the key 'audit': there is no such key in this region and account/)
    expect(refused.stderr).not.toContain('canary')
    const stranger = await runServe({ dataDir, env: { ...withoutLogin(), AWS_REGION: MOTO_LOGIN.region } })
    expect([stranger.code === 0, stranger.stderr]).toEqual([false, expect.stringMatching(/'archive': no credentials were found/)])
    const lost = await runServe({ dataDir, env: { ...withoutLogin(), AWS_REGION: '', AWS_DEFAULT_REGION: '' } })
    expect([lost.code === 0, lost.stderr]).toEqual([false, expect.stringMatching(/'archive': no region was found/)])
    await moto.stop()
    const alone = await runServe({ dataDir, env })
    expect([alone.code === 0, alone.stderr]).toEqual([false, expect.stringMatching(/'archive': nothing listens there/)])
    const doctor = await runVerb(['doctor'], { ...process.env as Record<string, string>, ...env, OXBOW_DATA_DIR: dataDir, OXBOW_DEMO: 'off' })
    expect([doctor.code, doctor.stdout]).toEqual([1, expect.stringMatching(/WRONG {2}key service .*'linkage': nothing listens there/)])
  })
})
