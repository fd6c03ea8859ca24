/** The closed list of audit kinds (audit.md §13, catalogue 1.0.0): each route names the one its use is recorded under. */

const INTERACTIONS = ['create', 'read', 'vread', 'update', 'patch', 'delete', 'search', 'history', 'operation'] as const

const access = INTERACTIONS.flatMap(interaction => [`fhir.${interaction}`, `fhir.patient-${interaction}`] as const)

export const AUDIT_KINDS = [
  ...access,
  'authz.denied', 'authn.failed', 'token.rejected', 'auth.rate-limited',
  'session.login', 'session.logout', 'smart.launch', 'token.issued', 'token.refreshed', 'token.revoked', 'client.registered', 'jwks.rotated',
  'consent.permit', 'consent.deny', 'consent.changed',
  'breakglass.start', 'breakglass.use', 'breakglass.stop', 'breakglass.reviewed',
  'association.created', 'association.ended', 'association.corrected', 'patient.merged',
  'reidentify.requested', 'reidentify.approved', 'reidentify.performed', 'reidentify.denied',
  'erasure.requested', 'erasure.legal-check', 'erasure.restricted', 'erasure.unlinked', 'erasure.shredded', 'erasure.expired', 'erasure.certified', 'erasure.refused',
  'export.requested', 'export.started', 'export.file', 'export.subjects', 'export.finished', 'export.downloaded', 'export.refused',
  'delivery.ok', 'delivery.failed', 'delivery.retried', 'delivery.dead-lettered', 'stream.open', 'stream.close', 'research.release',
  'alarm.raised', 'alarm.suppressed', 'alarm.deduplicated', 'alarm.routed', 'alarm.delivered', 'alarm.acknowledged', 'alarm.silenced', 'alarm.escalated', 'alarm.reset',
  'alarm.withdrawn', 'alarm.closed', 'notification.failed', 'alarm-rule.changed',
  'calibration.created', 'calibration.activated', 'calibration.rolled-back', 'schema.registered', 'schema.refused', 'mapping.changed', 'profile.changed',
  'pipeline.deployed', 'firmware.first-seen', 'retention.changed', 'config.changed', 'role.changed', 'flag.changed',
  'ingest.batch', 'ingest.quarantined', 'ingest.identity-mismatch', 'ingest.unassociated', 'ingest.released', 'ingest.discarded', 'reprocess.run', 'archive.sealed',
  'backfill.run', 'purge.run', 'restore.performed',
  'audit.read', 'audit.export', 'audit.writer-start', 'audit.writer-stop', 'audit.recording-stopped', 'audit.recording-started', 'audit.gap', 'audit.gap-accepted',
  'audit.overflow', 'audit.spool-replayed', 'audit.undisclosed', 'audit.receipt-missing', 'audit.heartbeat', 'audit.withheld', 'audit.key-announced', 'audit.key-retired',
  'audit.pruned', 'audit.verify-run', 'subject.tagkey-bound', 'witness.refused',
  'app.start', 'app.stop', 'kms.error', 'clock.skew', 'admin.shell', 'migration.run'
] as const

export type AuditKind = (typeof AUDIT_KINDS)[number]
