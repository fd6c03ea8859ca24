/** Why an input was not stored: the closed list of fhir-modelling.md §7, each with what to do about it. */

export const REASONS = {
  malformed: 'the record cannot be read in the named schema: correct the sender and send it again',
  'schema-unknown': 'the schema id or fingerprint is not registered: register the schema, then re-submit',
  'schema-incompatible': 'the schema cannot be read as readings, or would break a mapping in use: correct it, register it anew, then re-submit',
  'schema-unavailable': 'the schema registry did not answer, and the schema was never seen before: re-submit when it answers',
  'duplicate-key': 'an object names a field twice, so its meaning is not certain: send each field once',
  'not-a-number': 'a channel is NaN, infinite or no number: send a finite number or leave the field out',
  'unit-unknown': 'no unit is registered for this channel of the device model: add it to the model registry, then re-submit',
  'unit-mismatch': 'the unit or kind sent is not the one registered for the channel: correct the sender or the registry',
  'channel-unknown': 'the device model has no such channel: add it to the model registry, then re-submit',
  'range-hard': 'the value lies outside what the device model can measure: check the sensor',
  'fraction-as-percent': 'every SpO2 value of the batch lies in (0, 1]: send percent, not a fraction',
  'time-future': 'the time lies too far ahead of the server: set the clock of the device',
  'time-implausible': 'the time lies before 2000 or before the device was made: set the clock of the device',
  'time-zone-missing': 'the time has no zone: send milliseconds since 1970 UTC',
  'device-unknown': 'no Device has this telemetry identifier: register the Device and its association; the reading waits',
  'not-associated': 'no patient wears the device at this time: record the DeviceUseStatement; the reading waits',
  'patient-mismatch': 'the patient sent is not the one who wears the device at this time: correct the association or the sender',
  'linkage-unavailable': 'the identity store did not answer: the reading waits and is released by itself',
  'behind-waiting': 'older readings of the device are being released first: the reading follows by itself',
  'model-unknown': 'the device model is not in the registry: add it to mappings/models, then re-submit',
  'calibration-missing': 'never quarantined: the raw value is stored, and stands in no window until a calibration is in force: record one',
  'no-channel-left': 'no measured field of the record could be kept: see the reasons of its fields',
  'record-too-large': 'the record is larger than the limit: send smaller records',
  'rate-limited': 'never quarantined: the device sends more than its limit, and nothing of the record was kept: send it again after Retry-After',
  'foreign-record': 'a record on one of the topics of the bus that Oxbow did not write: take the right to write there from whoever did, then discard it'
} as const

export type ReasonCode = keyof typeof REASONS

/** Reasons that an operator must be told of: what is sent under them stays in quarantine until somebody acts. */
export const SCHEMA_REASONS: ReadonlySet<ReasonCode> = new Set(['schema-unknown', 'schema-incompatible', 'schema-unavailable'])

/** Reasons under which an item waits for an association and is released by itself. */
export const WAITING_REASONS: ReadonlySet<ReasonCode> = new Set(['device-unknown', 'not-associated', 'linkage-unavailable', 'behind-waiting'])
