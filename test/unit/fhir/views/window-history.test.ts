import { expect, test } from 'vitest'
import { currentViews, isEnded, versionsOfView, viewsWritten } from '../../../../src/fhir/views/window-history.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { ROWS } from '../../../support/example-views.ts'

const sampled: WindowRevision = ROWS.sampled
const single = (place: number) => ({ takenAt: epochMs(sampled.windowStart + place), sequence: 0, value: 40 + place })

function next (row: WindowRevision, wish: Partial<WindowRevision>): WindowRevision {
  return { ...row, revision: row.revision + 1, status: 'amended', issued: epochMs(row.issued + 60_000), ...wish }
}
const singles = (row: WindowRevision, ...places: number[]) => next(row, { form: { form: 'singles', samples: places.map(single) } })
function withdrawn ({ statistics: _statistics, ...row }: WindowRevision): WindowRevision { return next(row, { status: 'entered-in-error', form: { form: 'empty' } }) }
function shape (views: ReturnType<typeof currentViews>): string[] { return views.map(view => `${view.kind}${view.sample === undefined ? '' : ` ${view.sample.takenAt - sampled.windowStart}`}@${view.row.revision}${isEnded(view) ? ' ended' : ''}`).sort() }

test('a first revision writes its own views', () => {
  expect(shape(viewsWritten(sampled, undefined))).toEqual(['mean@1', 'rate@1', 'sampled@1'])
})

test('a revision in the other form ends what was shown before and begins at its own number', () => {
  const second = singles(sampled, 0, 10)
  expect(shape(currentViews([sampled, second]))).toEqual(['mean@2', 'rate@2', 'sampled@2 ended', 'single 0@2', 'single 10@2'])
  const third = singles(second, 10)
  expect(shape(currentViews([sampled, second, third]))).toEqual(['mean@3', 'rate@3', 'sampled@2 ended', 'single 0@3 ended', 'single 10@3'])
})

test('a window that returns to its first form goes on with the same Observation', () => {
  const second = singles(sampled, 0)
  const third = next(second, { form: sampled.form })
  const id = viewsOf(sampled)[0]!.id
  expect(shape(versionsOfView([sampled, second, third], id))).toEqual(['sampled@1', 'sampled@2 ended', 'sampled@3'])
})

test('a withdrawal ends every view that the revision before showed', () => {
  expect(shape(currentViews([sampled, withdrawn(sampled)]))).toEqual(['mean@2 ended', 'rate@2 ended', 'sampled@2 ended'])
  const second = singles(sampled, 0)
  expect(shape(currentViews([sampled, second, withdrawn(second)]))).toEqual(['mean@3 ended', 'rate@3 ended', 'sampled@2 ended', 'single 0@3 ended'])
})

test('kinds that nobody wants are left out where nothing ended', () => {
  expect(shape(currentViews([sampled], kind => kind === 'mean'))).toEqual(['mean@1'])
})
