/** The second judge: HAPI, with the profiles of fhir-profiles/, on what the code emits, on the examples, and on resources with one mistake each. */

import { beforeAll, describe, expect, test } from 'vitest'
import { example, EXAMPLES_MISSING } from '../../../support/example-views.ts'
import { exampleMessage } from '../../../support/example-message.ts'
import { type Judge, openJudge } from '../../../support/fhir-judge.ts'
import { FURTHER, LISTED, OF_PROFILES, RIGHT } from '../../../support/fhir-mistakes.ts'
import { GOLDEN, golden, type Json, METRICS, readmeBundle } from '../../../support/valid-resources.ts'

const opened = openJudge()
const missing = 'missing' in opened ? opened.missing : EXAMPLES_MISSING

if (missing !== undefined && process.env['OXBOW_REQUIRE'] === 'all') throw new Error(`OXBOW_REQUIRE=all: no second judge of FHIR: ${missing}`)

const EXAMPLES = [
  '01-device-reader', '02-devicemetric-tissue-po2', '03-device-association', '04-observation-sampled-window', '05-observation-panel', '06-observation-spo2',
  '07-observation-battery', '08-derived-rolling-mean', '09-derived-rate', '10-derived-deficit', '11-provenance', '12-device-pipeline', '19-bundle-transaction', '24-devicemetric-spo2'
]

/** Right, and refused for what is peculiar to HAPI: it resolves addresses, wants a code where only an extension stands, and knows no version of a base profile. */
const NOT_ASKED: readonly string[] = ['an absolute address of no FHIR server', 'a primitive that has only extensions', 'the base type as profile, with a version']

/** HAPI lets this SNOMED code pass, and FHIRPath counts no tokens. */
const OURS_ALONE: readonly string[] = ['a code that may not be emitted', 'a token too few']

describe.skipIf(missing !== undefined)(`HAPI${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const good: [string, Json][] = []
  const wrong: [string, Json][] = [...LISTED, ...FURTHER, ...OF_PROFILES].map(([what, resource]) => [what, JSON.parse(JSON.stringify(resource)) as Json])
  let verdicts: string[][]

  beforeAll(() => {
    good.push(...GOLDEN.flatMap(name => golden(name).map((view, place): [string, Json] => [`${name} ${place}`, view])))
    good.push(...EXAMPLES.map((name): [string, Json] => [name, example(name)]), ...METRICS.map((metric): [string, Json] => [`DeviceMetric ${String(metric['id'])}`, metric]))
    good.push(['message', exampleMessage() as Json], ['README', readmeBundle()], ...RIGHT.filter(([what]) => !NOT_ASKED.includes(what)).map(([what, resource]): [string, Json] => [what, JSON.parse(JSON.stringify(resource)) as Json]))
    verdicts = (opened as { judge: Judge }).judge([...good, ...wrong].map(([, resource]) => resource))
  }, 900_000)

  test('accepts what is right', () => {
    expect(good.map(([name], place) => [name, verdicts[place]]).filter(([, found]) => found!.length > 0)).toEqual([])
  })

  test('refuses what is wrong', () => {
    expect(wrong.filter((_one, place) => verdicts[good.length + place]!.length === 0).map(([what]) => what)).toEqual(OURS_ALONE)
  })
})
