import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import { noFindings, placeLate } from '../../../src/stream/arrivals.ts'
import { START, storedReading } from '../../support/stored-reading.ts'

test('a stored reading that a late one fills is given back whole: windows look back to it', () => {
  const stored = { series: 1, ...storedReading(START, [95, undefined], { offset: 3 }) }
  const late = { series: 1, receivedAt: epochMs(START + 5_000), ...storedReading(START, [undefined, 97], { offset: 9 }) }
  const findings = noFindings()
  expect(placeLate([late], [stored], findings)).toMatchObject([{ takenAt: START, values: [95, 97], offset: 3 }])
  expect(findings.fills).toMatchObject([{ series: 1, field: 1, value: 97 }])
})
