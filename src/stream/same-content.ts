/** Two versions of one window's content -> whether the second says anything new (fhir-modelling.md §2, rule 1). */

import type { WindowRevision } from '../model/window.ts'
import type { WindowDraft } from './close-window.ts'

type Content = WindowDraft | WindowRevision

/** Equal but for revision, issued and watermark; what only one of the two has (status, sid, the three versions of a run) is not compared,
 *  except that a withdrawn window never equals one that is not. */
export function sameContent (a: Content, b: Content): boolean {
  return isWithdrawn(a) === isWithdrawn(b) &&
    a.metric === b.metric && a.windowStart === b.windowStart && a.sizeMs === b.sizeMs &&
    a.from === b.from && a.until === b.until && a.flags === b.flags && a.quality === b.quality &&
    isEqual(a.form, b.form) && isEqual(a.statistics, b.statistics) && isEqual(a.deficit, b.deficit) && sameProvenance(a, b)
}

const RUN_FIELDS = ['pipelineVersion', 'dagDigest', 'mappingVersion'] as const

function sameProvenance (a: Content, b: Content): boolean {
  return a.provenance.length === b.provenance.length && a.provenance.every((one, index) => {
    const other = b.provenance[index]!
    return one.calibration === other.calibration && one.firmware === other.firmware && one.schemaId === other.schemaId &&
      isEqual(one.sources, other.sources) && RUN_FIELDS.every((field) => sameIfBoth(one, other, field))
  })
}

function sameIfBoth (a: object, b: object, field: (typeof RUN_FIELDS)[number]): boolean {
  const [one, other] = [Reflect.get(a, field), Reflect.get(b, field)]
  return one === undefined || other === undefined || one === other
}

function isWithdrawn (content: Content): boolean { return 'status' in content && content.status === 'entered-in-error' }

/** By value, over numbers, texts, arrays and plain objects; an absent field equals an undefined one. */
function isEqual (a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Number.isNaN(a) && Number.isNaN(b)
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].every((key) => isEqual(Reflect.get(a, key), Reflect.get(b, key)))
}
