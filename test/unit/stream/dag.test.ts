import { expect, test } from 'vitest'
import { type DeviceModel, modelKey } from '../../../src/model/device-model.ts'
import { dagDigest } from '../../../src/stream/dag.ts'
import { modelOf, PO2, SPO2 } from '../../support/stored-reading.ts'

const SETTINGS = { windowMs: 60_000, windowSizes: { a: 1000, b: 2000 }, latenessMs: 30_000, silenceMs: 60_000, deficits: { a: { threshold: 25 }, b: { threshold: 30 } } }
const registry = (...models: DeviceModel[]) => new Map(models.map((model) => [modelKey(model), model]))
const MODEL = modelOf(PO2, SPO2)
const OTHER = { ...MODEL, modelNumber: 'OTHER' }

test('the digest is of operators, settings and models, not of the order in which they were written down', () => {
  const digest = dagDigest(SETTINGS, registry(MODEL, OTHER))
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  const { channels, ...rest } = MODEL
  const turned = { ...SETTINGS, windowSizes: { b: 2000, a: 1000 }, deficits: { b: { threshold: 30 }, a: { threshold: 25 } } }
  expect(dagDigest(turned, registry(OTHER, { channels, ...rest }))).toBe(digest)
})

test('every setting that changes results changes the digest', () => {
  const digests = [
    SETTINGS, { ...SETTINGS, windowMs: 1 }, { ...SETTINGS, windowSizes: {} }, { ...SETTINGS, latenessMs: 1 }, { ...SETTINGS, silenceMs: 1 },
    { ...SETTINGS, deficits: {} }, { ...SETTINGS, deficits: { ...SETTINGS.deficits, a: { threshold: 25, maxGapMs: 5000 } } }
  ].map((settings) => dagDigest(settings, registry(MODEL)))
  const models = [registry(MODEL, OTHER), registry(modelOf(SPO2, PO2)), registry(modelOf({ ...PO2, maxSlewPerSecond: 5 }, SPO2))]
  expect(new Set([...digests, ...models.map((one) => dagDigest(SETTINGS, one))]).size).toBe(digests.length + models.length)
})
