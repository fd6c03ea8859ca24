/** A message as the code makes it, for whoever judges it. */

import { partsOf } from '../../src/fhir/egress/bundle.ts'
import { buildMessage } from '../../src/fhir/egress/message.ts'
import { messageNaming } from '../../src/fhir/views/naming.ts'
import { shownView } from '../../src/fhir/views/view-name.ts'
import { viewsOf } from '../../src/model/view-ids.ts'
import type { WindowRevision } from '../../src/model/window.ts'
import { at, CONTEXT, exampleTools, ROWS } from './example-views.ts'

export const MESSAGE_PATIENT = { system: 'urn:oid:2.16.840.1.113883.19.5', value: 'MRN-4711' }

export function exampleMessage (row: WindowRevision = ROWS.sampled): Record<string, unknown> {
  const parts = partsOf(viewsOf(row).map(view => shownView(view, row)), 100)
  const times = { timestamp: at('2026-02-11T08:30:41.100Z') }
  return JSON.parse(buildMessage(parts, MESSAGE_PATIENT, messageNaming(CONTEXT, MESSAGE_PATIENT), exampleTools('tissue-po2'), times)) as Record<string, unknown>
}
