/** What the validator found. `expression` is FHIRPath-like: `Observation.component[1].value`. */
export interface Finding {
  severity: 'error' | 'warning' | 'information'
  /** Subset of the codes of IssueType. */
  code: 'structure' | 'required' | 'value' | 'invariant' | 'code-invalid' | 'invalid' | 'too-long' | 'business-rule' | 'not-supported' | 'informational' | 'not-found'
  message: string
  expression: string
  /** Canonical URL of the profile that is violated; absent: base FHIR. */
  profile?: string
}
