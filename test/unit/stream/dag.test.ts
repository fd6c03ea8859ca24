import { expect, test } from 'vitest'
import { dagDigest } from '../../../src/stream/dag.ts'

const SETTINGS = { windowMs: 60_000, windowSizes: { a: 1000, b: 2000 }, latenessMs: 30_000, silenceMs: 60_000, deficits: [{ metric: 'a', threshold: 25 }, { metric: 'b', threshold: 30 }] }

test('the digest is of operators and settings, not of their order in a file', () => {
  const digest = dagDigest(SETTINGS)
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(dagDigest({ ...SETTINGS, windowSizes: { b: 2000, a: 1000 }, deficits: SETTINGS.deficits.toReversed() })).toBe(digest)
})

test('every setting that changes results changes the digest', () => {
  const variants = [
    SETTINGS, { ...SETTINGS, windowMs: 1 }, { ...SETTINGS, windowSizes: {} }, { ...SETTINGS, latenessMs: 1 }, { ...SETTINGS, silenceMs: 1 },
    { ...SETTINGS, deficits: [] }, { ...SETTINGS, deficits: [{ metric: 'a', threshold: 25, maxGapMs: 5000 }, { metric: 'b', threshold: 30 }] }
  ]
  expect(new Set(variants.map(dagDigest)).size).toBe(variants.length)
})
