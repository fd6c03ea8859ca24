/** The form of `definitions.generated.json`: FHIR R4 and our profiles, reduced to what a check needs. Written by `fhir-profiles/compile.ts`. */

export interface Definitions {
  fhirVersion: string
  /** Names of all resource types of R4; those that can be checked stand in `types` as well. */
  resources: readonly string[]
  primitives: Readonly<Record<string, Primitive>>
  /** Resources, datatypes and, by their path (`Observation.component`), the parts of both. */
  types: Readonly<Record<string, TypeDefinition>>
  /** By canonical URL: profiles of resources and definitions of extensions. */
  profiles: Readonly<Record<string, Profile>>
  /** Canonical URL → code system → codes. */
  valueSets: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
  /** Required value sets that no finite list of codes can stand for; they are not checked. */
  openValueSets: readonly string[]
}

export interface Primitive {
  json: 'string' | 'number' | 'boolean'
  /** Of the whole text. */
  pattern?: string
}

export interface TypeDefinition {
  isResource?: true
  /** A choice stands under its name with `[x]`. */
  elements: Readonly<Record<string, Element>>
  /** Keys of constraints, e.g. `obs-6`. */
  invariants?: readonly string[]
}

export interface Element {
  /** Absent: 0. */
  min?: 1
  isList?: true
  /** More than one only for a choice. */
  types: readonly string[]
  /** Value set of a required binding. */
  codes?: string
  /** Types that a Reference may point to; absent: any. */
  targets?: readonly string[]
  invariants?: readonly string[]
}

export interface Profile {
  name: string
  type: string
  /** Canonical URL of the profile it derives from; absent: R4 itself. */
  base?: string
  rule: Rule
}

/** What a profile adds to one element and those below it. */
export interface Rule {
  min?: number
  max?: number
  /** Those left of a choice. */
  types?: readonly string[]
  targets?: readonly string[]
  codes?: string
  /** The exact value. */
  fixed?: unknown
  /** A part of the value. */
  pattern?: unknown
  invariants?: readonly string[]
  elements?: Readonly<Record<string, Rule>>
  slices?: readonly Slice[]
  /** Items that are of no slice are refused. */
  isClosed?: true
}

export interface Slice {
  name: string
  /** An item is of the slice when each path leads to a value that holds the pattern. */
  match: readonly { path: readonly string[], pattern: unknown }[]
  rule: Rule
}
