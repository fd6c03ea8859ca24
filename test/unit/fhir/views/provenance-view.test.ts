import { expect, test } from 'vitest'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import { renderProvenance } from '../../../../src/fhir/views/provenance-view.ts'
import { serverNaming } from '../../../../src/fhir/views/naming.ts'
import { shownView } from '../../../../src/fhir/views/view-name.ts'
import { at, CONTEXT, EXAMPLES_MISSING, example, exampleTools, ROWS } from '../../../support/example-views.ts'

const derived = viewsOf(ROWS.sampled).filter(view => view.kind !== 'sampled').map(view => shownView(view, ROWS.sampled))

test.skipIf(EXAMPLES_MISSING)(`equal to example 11${EXAMPLES_MISSING === undefined ? '' : `: ${EXAMPLES_MISSING}`}`, () => {
  const text = renderProvenance(derived, serverNaming(CONTEXT), exampleTools('tissue-po2'), { recorded: at('2026-02-11T08:30:41.060Z') })
  expect(JSON.parse(text)).toEqual(example('11-provenance'))
})

test('a second calibration and a second firmware are named beside the first', () => {
  const [entry] = ROWS.sampled.provenance
  const row = { ...ROWS.sampled, provenance: [entry!, { ...entry!, calibration: 8, firmware: 2 }] }
  const context = { ...CONTEXT, calibrations: new Map([[7, 'cal-a'], [8, 'cal-b']]), firmware: new Map([[1, '1.2.3'], [2, '1.3.0']]) }
  const found = JSON.parse(renderProvenance([{ ...derived[0]!, row }], serverNaming(context), exampleTools('tissue-po2'))) as { agent: unknown[], entity: { role: string }[] }
  expect(found.agent).toHaveLength(3)
  expect(found.entity.filter(entity => entity.role === 'derivation')).toHaveLength(2)
})
