import { expect, test } from 'vitest'
import { BARS } from '../../bench/bars.ts'
import { compareResults, HEAD, lineOf, resultOf, skippedResult } from '../../bench/report.ts'

const bar = (id: string) => BARS.find(candidate => candidate.id === id)!
const against = { kind: 'limit', name: 'copy-binary-10000', value: 398_112 } as const

test('a line shows ours, the other side, ratio, floor, target and verdict, each below its head', () => {
  const line = lineOf(resultOf(bar('P1a'), { ours: 166_870, against, ratio: 0.419, note: 'audit off' }))
  expect(line).toMatch(/^P1a +ingest avro 100\/post 32 conn +166,870 r\/s +copy-binary-10000 398,112 +0\.419 +0\.25 +0\.45 +short \(audit off\)$/)
  for (const name of ['against', 'ratio', 'floor', 'target', 'verdict']) expect(line[HEAD.indexOf(name)]).not.toBe(' ')
})

test('a bar that was not measured says why and shows no figure', () => {
  expect(lineOf(skippedResult(bar('P7'), 'not built: alarms'))).toMatch(/^P7 +alarm to rest-hook +- +- +- +5 +5 +skipped: not built: alarms$/)
})

test('too noisy to tell is rejected, whatever was measured', () => {
  expect(resultOf(bar('P1j'), { ours: 1, against, rejected: true }).verdict).toBe('rejected')
})

test('a change over a tenth is flagged', () => {
  const result = (ratio: number) => [resultOf(bar('P1a'), { ours: 1, against, ratio })]
  expect(compareResults(result(0.4), result(0.43))[0]).not.toContain('changed')
  expect(compareResults(result(0.4), result(0.46))[0]).toMatch(/15\.0 % +changed$/)
})

test('no bar stands twice', () => {
  expect(new Set(BARS.map(({ id }) => id)).size).toBe(BARS.length)
})
