/** What each route says of itself: who may call it (`config.access`) and what the audit records (`config.audit`). */

import type { AuditKind } from '../audit/kinds.ts'
import type { ExtensionScope, Letter } from './scope.ts'

export type Access =
  /** Anybody, without a token. */
  | 'public'
  /** Any valid token; the handler asks `mayInteract` for each interaction inside (Bundles, operations). */
  | 'token'
  /** A token with this scope. */
  | { scope: ExtensionScope }
  /** A token with a grant for this letter on the type; without `type` it is the route's parameter `:type`. */
  | { letter: Letter, type?: string }

/** `none` for routes that disclose, deny and change nothing. */
export type AuditDeclaration = AuditKind | 'none'

export interface RouteDeclaration {
  access: Access
  audit: AuditDeclaration
}
