/** The laws of the tree (laws 1, 2, 3 and 9, and the boundaries of components.md and performance.md), each shown to fail on a seeded violation. */

import { describe, expect, test } from 'vitest'
import { type Finding, LAWS, readTexts, readTree, type SourceFile } from './support/laws.ts'

const tree = readTree('src')
const texts = readTexts()

test('the texts of README, docs, mappings and profiles are among what is read', () => {
  expect(new Set(texts.map(({ path }) => path.split('/')[0]))).toEqual(new Set(['README.md', 'docs', 'fhir-profiles', 'mappings']))
})

describe('the tree keeps its laws', () => {
  for (const law of LAWS) {
    test(law.name, () => { expect(law.check(law.readsTexts === true ? [...tree, ...texts] : tree)).toEqual([]) })
  }
})

function file (path: string, ...lines: string[]): SourceFile { return { path, text: lines.join('\n') } }

/** One violation of each law, and the file in which it must be found. */
const SEEDED: readonly { law: string, files: SourceFile[], found: string }[] = [
  { law: 'one arrow', files: [file('src/model/a.ts', "import { b } from '../config/b.ts'"), file('src/config/b.ts', 'export const b = 1')], found: 'src/model/a.ts' },
  { law: 'one arrow', files: [file('src/ingest/a.ts', "export type { B } from '../stream/b.ts'"), file('src/stream/b.ts', 'export type B = 1')], found: 'src/ingest/a.ts' },
  { law: 'one arrow', files: [file('src/ingest/a.ts', "const b = await import('../system.ts')"), file('src/system.ts')], found: 'src/ingest/a.ts' },
  { law: 'every file stands in a known room', files: [file('src/utils/a.ts', 'export const a = 1')], found: 'src/utils/a.ts' },
  { law: 'no circles', files: [file('src/stream/a.ts', "import { b } from './b.ts'"), file('src/stream/b.ts', "import { a } from './a.ts'")], found: 'src/stream/a.ts' },
  {
    law: 'no circles',
    files: [file('src/fhir/api/a.ts', "import { b } from '../views/b.ts'"), file('src/fhir/views/b.ts'), file('src/fhir/views/c.ts', "import { d } from '../api/d.ts'"), file('src/fhir/api/d.ts')],
    found: 'src/fhir/api'
  },
  { law: 'stages meet on the bus', files: [file('src/stream/a.ts', "import { b } from '../ingest/b.ts'"), file('src/ingest/b.ts', 'export const b = 1')], found: 'src/stream/a.ts' },
  { law: 'who and what are apart', files: [file('src/stores/series/a.ts', "import { b } from '../linkage/b.ts'"), file('src/stores/linkage/b.ts')], found: 'src/stores/series/a.ts' },
  { law: 'who and what are apart', files: [file('src/stores/linkage/a.ts', "import type { B } from '../series/b.ts'"), file('src/stores/series/b.ts')], found: 'src/stores/linkage/a.ts' },
  { law: 'who and what are apart', files: [file('src/dashboard/a.ts', "import { b } from '../stores/linkage/b.ts'"), file('src/stores/linkage/b.ts')], found: 'src/dashboard/a.ts' },
  { law: 'device and patient ids end in ingest', files: [file('src/stream/a.ts', 'export interface Row { deviceId: string }')], found: 'src/stream/a.ts' },
  { law: 'device and patient ids end in ingest', files: [file('src/stores/series/a.ts', 'export interface Row { readonly patientId?: string }')], found: 'src/stores/series/a.ts' },
  { law: 'fastify stays at the door', files: [file('src/auth/a.ts', "import fastify from 'fastify'")], found: 'src/auth/a.ts' },
  { law: 'fastify stays at the door', files: [file('src/fhir/a.ts', "import helmet from '@fastify/helmet'")], found: 'src/fhir/a.ts' },
  { law: 'the environment is read in main.ts', files: [file('src/config/a.ts', 'export const a = process.env.HOME')], found: 'src/config/a.ts' },
  { law: 'the environment is read in main.ts', files: [file('src/config/a.ts', "import { env } from 'node:process'")], found: 'src/config/a.ts' },
  { law: 'no console, no default export', files: [file('src/model/a.ts', 'export default 1')], found: 'src/model/a.ts' },
  { law: 'kafkajs stays behind the bus', files: [file('src/ingest/a.ts', "import kafkajs from 'kafkajs'")], found: 'src/ingest/a.ts' },
  { law: 'the AWS SDK stays in its adapters, imported lazily', files: [file('src/platform/objects/s3.ts', "import { S3Client } from '@aws-sdk/client-s3'")], found: 'src/platform/objects/s3.ts' },
  { law: 'the AWS SDK stays in its adapters, imported lazily', files: [file('src/platform/keys/kms.ts', "import type { KMSClient } from '@aws-sdk/client-kms'")], found: 'src/platform/keys/kms.ts' },
  { law: 'the AWS SDK stays in its adapters, imported lazily', files: [file('src/stores/archive/a.ts', "const sdk = await import('@aws-sdk/client-s3')")], found: 'src/stores/archive/a.ts' },
  { law: 'no interpreter on a hot path', files: [file('src/ingest/a.ts', "import { validateResource } from '@medplum/core'")], found: 'src/ingest/a.ts' },
  { law: 'the series store is never called de-identified', files: [file('src/stores/series/a.ts', '// the de-identified series')], found: 'src/stores/series/a.ts' },
  { law: 'the series store is never called de-identified', files: [file('docs/a.md', 'The readings are stored', 'De-Identified.')], found: 'docs/a.md' },
  { law: 'the series store is never called de-identified', files: [file('fhir-profiles/a.json', '{"description":"deidentified data"}')], found: 'fhir-profiles/a.json' }
]

describe('a seeded violation is found', () => {
  test('every law has one', () => {
    expect(new Set(SEEDED.map(seed => seed.law))).toEqual(new Set(LAWS.map(law => law.name)))
  })
  for (const [index, seed] of SEEDED.entries()) {
    test(`${seed.law} (${index + 1})`, () => {
      const law = LAWS.find(candidate => candidate.name === seed.law)!
      expect(law.check(seed.files).map((finding: Finding) => finding.file)).toContain(seed.found)
    })
  }
})
