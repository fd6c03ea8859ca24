/** What the fields of a device's schema are for us: by their names, or by what the schema says of them. No field is passed over in silence. */

import { UNITS_OF_KIND } from '../../config/device-models.ts'
import type { QuantityKind } from '../../model/device-model.ts'

export type Role = 'deviceId' | 'patientId' | 'takenAt' | 'sequence' | 'channels' | 'spo2' | 'tissueO2' | 'battery' | 'firmware' | 'quality'

/** Names under which a role is known in every format. */
const ROLE_OF_NAME: ReadonlyMap<string, Role> = new Map([
  ['deviceId', 'deviceId'], ['device_id', 'deviceId'], ['patientId', 'patientId'], ['patient_id', 'patientId'], ['timestamp_utc', 'takenAt'],
  ['sequence', 'sequence'], ['channels', 'channels'], ['spo2', 'spo2'], ['local_tissue_o2', 'tissueO2'], ['battery_mv', 'battery'],
  ['firmware_version', 'firmware'], ['signal_quality', 'quality']
])

/** How a role is written in messages: its first name. */
export function roleName (role: Role): string {
  for (const [name, known] of ROLE_OF_NAME) if (known === role) return name
  return role
}

/** Roles whose value the record is nothing without. */
export const REQUIRED_ROLES: readonly Role[] = ['deviceId', 'takenAt']

/** Roles that hold a text; the others hold a number, `channels` a list. */
export const TEXT_ROLES: ReadonlySet<Role> = new Set(['deviceId', 'patientId', 'firmware'])
/** Roles that hold a whole number. */
export const WHOLE_ROLES: ReadonlySet<Role> = new Set(['takenAt', 'sequence', 'battery', 'quality'])

export interface ChannelName { metric: string, kind: string, unit: string }

export type Purpose =
  | { is: 'role', role: Role }
  | { is: 'channel', channel: ChannelName }
  /** Stays in the original bytes and is delivered nowhere: the schema says so. */
  | { is: 'ignored' }

/** What a schema says of a field, in whatever way its format has. */
export interface Annotations { field?: unknown, metric?: unknown, kind?: unknown, unit?: unknown, ignore?: unknown }

/** @param names of the field: its own, then its aliases · @param how to say it, for the message. Gives a problem as text. */
export function purposeOf (names: readonly string[], { field, metric, kind, unit, ignore }: Annotations, how: string): Purpose | string {
  if (ignore === true) return { is: 'ignored' }
  if (metric !== undefined || kind !== undefined || unit !== undefined) return channelOf(metric, kind, unit)
  if (field !== undefined) {
    const role = typeof field === 'string' ? ROLE_OF_NAME.get(field) : undefined
    return role === undefined ? `names a field of ours that there is not: one of ${[...ROLE_OF_NAME.keys()].join(', ')}` : { is: 'role', role }
  }
  const role = names.map(name => ROLE_OF_NAME.get(name)).find(found => found !== undefined)
  return role === undefined ? `is no field of ours, and does not say what it is: ${how}` : { is: 'role', role }
}

const METRIC = /^[a-z][a-z0-9-]{0,62}$/

function channelOf (metric: unknown, kind: unknown, unit: unknown): Purpose | string {
  if (typeof metric !== 'string' || !METRIC.test(metric)) return 'is a channel without a metric (a name of small letters, digits and hyphens)'
  if (typeof kind !== 'string' || !Object.hasOwn(UNITS_OF_KIND, kind)) return `is a channel without a known kind: one of ${Object.keys(UNITS_OF_KIND).join(', ')}`
  const units = UNITS_OF_KIND[kind as QuantityKind]
  if (typeof unit !== 'string' || !units.includes(unit)) return `is a channel of kind ${kind}, whose unit must be ${units.join(' or ')} (UCUM)`
  return { is: 'channel', channel: { metric, kind, unit } }
}

/** What records of a schema deliver. */
export interface Delivery { roles: ReadonlySet<Role>, channels: readonly ChannelName[] }

/** The delivery of fields with these purposes, or what is wrong with them together. */
export function deliveryOf (purposes: readonly Purpose[]): { delivery: Delivery, problems: readonly string[] } {
  const roles = new Set<Role>()
  const channels: ChannelName[] = []
  const problems: string[] = []
  for (const purpose of purposes) {
    if (purpose.is === 'role') {
      if (roles.has(purpose.role)) problems.push(`two fields are ${roleName(purpose.role)}`)
      roles.add(purpose.role)
    } else if (purpose.is === 'channel') {
      if (channels.some(({ metric }) => metric === purpose.channel.metric)) problems.push(`two fields are the channel ${purpose.channel.metric}`)
      channels.push(purpose.channel)
    }
  }
  for (const role of REQUIRED_ROLES) if (!roles.has(role)) problems.push(`no field is ${roleName(role)}`)
  if (channels.length === 0 && !MEASURED.some(role => roles.has(role))) problems.push('no field is measured: neither a channel, nor spo2, local_tissue_o2, channels, battery_mv or signal_quality')
  return { delivery: { roles, channels }, problems }
}

const MEASURED: readonly Role[] = ['channels', 'spo2', 'tissueO2', 'battery', 'quality']
