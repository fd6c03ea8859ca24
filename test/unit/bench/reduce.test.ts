import { expect, test } from 'vitest'
import { BARS, type Bar } from '../../bench/bars.ts'
import { judgeRound, median, medianRatio, percentile, type Round, verdictOf } from '../../bench/reduce.ts'

const round = (limitBefore: number, ours: number, limitAfter: number): Round => ({ limitBefore, ours: [ours], limitAfter, load1: 1 })
const bar = (id: string): Bar => BARS.find(candidate => candidate.id === id)!

test('a round whose limit moved by 25 % or more is not accepted and does not enter the median', () => {
  expect(judgeRound(round(400, 200, 301)).accepted).toBe(true)
  expect(judgeRound(round(400, 200, 300)).accepted).toBe(false)
  const rounds = [round(400, 200, 400), round(400, 100, 400), round(400, 120, 400), round(400, 400, 200)].map(judgeRound)
  expect(medianRatio(rounds)).toBeCloseTo(0.3)
})

test('fewer than three accepted rounds give no figure, and the verdict is rejected', () => {
  const rounds = [round(400, 200, 400), round(400, 200, 400), round(400, 200, 200)].map(judgeRound)
  expect(medianRatio(rounds)).toBeUndefined()
  expect(verdictOf(bar('P1a'), undefined)).toBe('rejected')
})

test('the figure is the median of the ratios of the rounds, never the ratio of the best values', () => {
  const rounds = [round(100, 90, 100), round(200, 100, 200), round(400, 120, 400)].map(judgeRound)
  expect(medianRatio(rounds)).toBeCloseTo(0.5)
})

test('target met is pass, floor met is short, below the floor is SHORT', () => {
  expect([0.45, 0.3, 0.1].map(figure => verdictOf(bar('P1a'), figure))).toEqual(['pass', 'short', 'SHORT'])
  expect([2, 3, 5].map(figure => verdictOf(bar('P2s'), figure))).toEqual(['pass', 'short', 'SHORT'])
})

test('a raised bar is met or open', () => {
  expect([0.6, 0.1].map(figure => verdictOf(bar('M1a'), figure))).toEqual(['met', 'open'])
})

test('a bar without floor and target only informs, unless it is too noisy to tell', () => {
  expect([0.6, 0.1, undefined].map(figure => verdictOf(bar('P1kj'), figure))).toEqual(['informative', 'informative', 'rejected'])
})

test('the median of an even count lies between the two in the middle', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('a percentile is a value that was measured', () => {
  expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3)
  expect(percentile([1, 2], 0.99)).toBe(2)
})
