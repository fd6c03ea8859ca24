/** The form of `definitions.generated.json`: what the validator must know of R4 and of our profiles, and no more. */

export interface Definitions {
  /** Regular expression of each primitive's JSON text, unanchored; `''`: any text. */
  primitives: Record<string, string>
  /** Codes by system of each value set that a required binding names and that can be listed. */
  valueSets: Record<string, Record<string, string[]>>
  /** Resources, data types and backbone elements (`Patient.contact`). */
  types: Record<string, TypeDefinition>
  /** By canonical URL. */
  profiles: Record<string, ProfileDefinition>
}

export interface TypeDefinition {
  isResource?: true
  /** By JSON name: `valueQuantity`, not `value[x]`. */
  elements: Record<string, ElementDefinition>
  /** Least count of each choice: `{ value: 0 }`. */
  choices?: Record<string, number>
  /** Keys of invariants that hold for it. */
  invariants?: string[]
}

export interface ElementDefinition {
  type: string
  min?: number
  isList?: true
  /** URL of a required value set. */
  valueSet?: string
  /** Resource types a Reference may name; absent: any. */
  targets?: string[]
  /** Name of the choice it is one form of. */
  choice?: string
}

export interface ProfileDefinition {
  type: string
  /** Profile that holds as well. */
  base?: string
  root: Constraint
}

export interface Constraint {
  min?: number
  max?: number
  /** Data types a choice is narrowed to. */
  types?: string[]
  /** Equals it. */
  fixed?: unknown
  /** Holds at least it. */
  pattern?: unknown
  valueSet?: string
  targets?: string[]
  invariants?: string[]
  /** By element name, `value[x]` for a choice. */
  children?: Record<string, Constraint>
  slices?: Slice[]
}

export interface Slice {
  name: string
  /** An item is in the slice when all of these hold. */
  match: { path: string[], value: unknown }[]
  constraint: Constraint
}
