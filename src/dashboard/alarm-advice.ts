/** Operational alarm → what it means and what to do, in a line each; `docs/operations.md` says more. */

import type { OperationalAlarm } from '../observability/events.ts'

export const ALARM_ADVICE: Readonly<Record<OperationalAlarm, string>> = {
  'quarantine-full': 'The quarantine is full and the door answers 429: re-submit or discard items with oxbow quarantine.',
  'quarantine-expiring': 'Items of the quarantine are discarded within seven days: re-submit what is wanted.',
  'bus-behind': 'Readings arrive faster than they are stored: look at disk and CPU of the series database.',
  'bus-failed': 'The bus cannot be reached, readings are refused with 503: look at its PostgreSQL, or the Kafka cluster.',
  'stream-stopped': 'A series writer stands still; what came in waits on the bus: see the stack in the log.',
  'inlet-stopped': 'A topic that devices write to is not read; its records wait there: see the reason in the log before its retention removes them.',
  'inlet-lost': 'Records of a topic that devices write to were gone before they were read: see the log for which, and ask their sender for them.',
  'gateway-limited': 'A gateway has sent more than its limit for ten minutes and is paced by 429: a backlog ends by itself, else raise the limit or stop it.',
  'device-limited': 'A device has sent more than its limit for ten minutes and is held back by 429: find it in the answers to its gateway.',
  'lead-lost': 'The connection that says which server leads broke; delivery and jobs stand still until it is back: look at the linkage database.',
  'foreign-record': 'Records that Oxbow did not write stood on its own topics; they are in quarantine: take the right to write there from whoever did.',
  'reading-conflict': 'A device sent two different readings under one time and sequence; the first stands: ask its maker.',
  'firmware-unknown': 'Readings name a firmware that the device model does not list: add it to the registry.',
  'model-missing': 'Windows of a device model that is not in the registry wait: put its file back into mappings/models and start again.',
  'schema-refused': 'Readings came in a schema that is unknown or cannot be read, and are kept: oxbow schema register, then oxbow quarantine resubmit --reason schema-unknown.',
  'schema-registry-failed': 'The schema registry does not answer; readings in schemas never seen before are kept: bring it back, then oxbow quarantine resubmit --reason schema-unavailable.',
  'egress-failing': 'A destination does not take Bundles; they are tried again without end: look at the receiver.',
  'egress-dead-letter': 'A destination refuses a Bundle for good, it is kept aside: see the log for why.',
  'job-failing': 'A job in the background fails and is tried again: see the code in the log.',
  'disk-low': 'The disk of the data directory or of the archive is nearly full: make room before PostgreSQL or the archive stops.',
  'archive-failed': 'Original bytes cannot be archived, they wait on the bus and readings go on: look at the folder or bucket of the archive and the code in the log.',
  'archive-behind': 'More than half of the raw records that may wait for the archive do: at the limit the door answers 429.'
}
