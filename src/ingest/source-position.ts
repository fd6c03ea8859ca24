/** Where something came in, as every record, item and object of the archive names it: an inlet, and a number there that was given before the append. */

/** `http/<instance>` and `resubmit/<instance>` with a count of requests, `kafka/<topic>/<partition>` and `bus/<topic>/<partition>` with an offset. */
export interface SourcePosition { inlet: string, number: number }

export interface Origin extends SourcePosition {
  /** How many records the request had in all, those too that were not stored; 0: not known. */
  records: number
}

/** Beginning of the inlets of partitions of a topic that others write to, and of a topic of ours. */
export const TOPIC_INLET = 'kafka/'
export const BUS_INLET = 'bus/'
/** Of readings that the series store gave back: `series/<instance>`, without a number. */
export const RETURNED_INLET = 'series/'

/** A position in one text, as PostgreSQL takes it apart again. */
export const SOURCE_PATTERN = '^(.*)/([0-9]{1,14})$'
const POSITION = new RegExp(SOURCE_PATTERN, 's')

export function sourceText ({ inlet, number }: SourcePosition): string { return `${inlet}/${number}` }

/** Without a number it is all inlet, and the number 0. */
export function positionIn (source: string): SourcePosition {
  const numbered = source.startsWith(RETURNED_INLET) ? null : POSITION.exec(source)
  return { inlet: numbered?.[1] ?? source, number: Number(numbered?.[2] ?? 0) }
}
