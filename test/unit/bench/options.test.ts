import { expect, test } from 'vitest'
import { parseOptions } from '../../bench/options.ts'

test('without arguments every bar is measured, five rounds of at least 8 s after 2 s of warm-up', () => {
  expect(parseOptions([])).toMatchObject({ only: undefined, quick: false, growth: false, rounds: 5, roundsMin: 3, seconds: { warmUp: 2, stretch: 8 } })
})

test('a quick run has two rounds of 3 s', () => {
  expect(parseOptions(['--quick'])).toMatchObject({ quick: true, rounds: 2, seconds: { stretch: 3 } })
})

test('a group stands for its bars', () => {
  expect([...parseOptions(['--only', 'P1,P13'])!.only!]).toEqual(['P1j', 'P1a', 'P1kj', 'P1ka', 'P13', 'P13k'])
  expect([...parseOptions(['--only', 'M1j'])!.only!]).toEqual(['M1j'])
  expect([...parseOptions(['--only', 'A1'])!.only!]).toEqual(['A1', 'A1c', 'A1b'])
})

test('growth bars run when they are asked for', () => {
  expect(parseOptions(['--only', 'P10q'])!.growth).toBe(true)
  expect(parseOptions(['--growth'])!.growth).toBe(true)
})

test('two files are compared; one, or files without --compare, are wrong use', () => {
  expect(parseOptions(['--compare', 'a.json', 'b.json'])!.compare).toEqual(['a.json', 'b.json'])
  expect(() => parseOptions(['--compare', 'a.json'])).toThrow('two result files')
  expect(() => parseOptions(['a.json'])).toThrow('two result files')
})

test('an unknown bar is named', () => {
  expect(() => parseOptions(['--only', 'P99'])).toThrow('P99')
})
