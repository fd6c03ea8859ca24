/** What made a derived value (law 7). Everything by number or version: no text from a device stands here. */

export interface SourceRange {
  topic: string
  partition: number
  firstOffset: number
  lastOffset: number
}

export interface Provenance {
  /** Version of Oxbow that computed it. */
  pipelineVersion: string
  /** `sha256:` over the operators, their order and their settings. */
  dagDigest: string
  /** `<mapping>@<version>`. */
  mappingVersion: string
  /** Number of the calibration in the linkage store; 0: none was applied. */
  calibration: number
  /** Number of the firmware; 0: not said. */
  firmware: number
  /** Id of the schema the device used. */
  schemaId: number
}

export interface PointProvenance extends Provenance {
  /** Positions in `oxbow.readings.v1`, ascending by partition. */
  sources: readonly SourceRange[]
}
