/** Whether a schema delivers to the mappings in use what they are fed today: its channels against the device models, with metric, kind and unit. */

import { type DeviceModel, type DeviceModels, modelKey } from '../../model/device-model.ts'
import type { CompiledSchema } from './compiled-schema.ts'
import { type ChannelName, type Delivery, type Role, roleName } from './plan.ts'

/** Why `next` may not become the active version: what `active` delivers and it would not, and what no model in use could take. [] when it may.
 *  @param active the version before it; absent: there is none, and nothing is fed yet */
export function mappingProblems (next: CompiledSchema, active: CompiledSchema | undefined, models: DeviceModels): string[] {
  const contradictions = next.delivery.channels.flatMap(channel => contradiction(channel, models))
  const lost = active === undefined ? [] : [...lostRoles(active.delivery, next.delivery), ...lostChannels(active.delivery, next.delivery, models)]
  return [...contradictions, ...lost]
}

function describe ({ metric, kind, unit }: ChannelName): string { return `channel ${metric} (${kind}, ${unit})` }

/** A metric that models have, but none as it is named here: each of its values would go to quarantine. */
function contradiction (channel: ChannelName, models: DeviceModels): string[] {
  const known = [...models.values()].flatMap(({ channels }) => channels.filter(({ metric }) => metric === channel.metric))
  if (known.length === 0 || known.some(one => isSame(one, channel))) return []
  return [`${describe(channel)}: the device models have it as ${[...new Set(known.map(({ kind, unit }) => `${kind}, ${unit}`))].join(' or ')}`]
}

function isSame (a: ChannelName, b: ChannelName): boolean { return a.metric === b.metric && a.kind === b.kind && a.unit === b.unit }

/** Whatever the active version says beside channels: the identity of a reading, its provenance, what its quality is judged by. */
const KEPT_ROLES: readonly Role[] = ['patientId', 'sequence', 'battery', 'firmware', 'quality']

function lostRoles (before: Delivery, after: Delivery): string[] {
  return KEPT_ROLES.filter(role => before.roles.has(role) && !after.roles.has(role)).map(role => `${roleName(role)} would no longer be delivered`)
}

function lostChannels (before: Delivery, after: Delivery, models: DeviceModels): string[] {
  // A list of channels may hold any.
  if (after.roles.has('channels')) return []
  if (before.roles.has('channels')) return ['channels, the list that may hold any channel, would no longer be delivered']
  const lost = new Map<string, string[]>()
  for (const model of models.values()) {
    const delivered = fedChannels(after, model)
    for (const channel of fedChannels(before, model)) {
      if (delivered.some(one => isSame(one, channel))) continue
      const key = describe(channel)
      lost.set(key, [...lost.get(key) ?? [], modelKey(model)])
    }
  }
  return [...lost].map(([channel, names]) => `${channel} would no longer be delivered; ${names.join(', ')} has it mapped`)
}

/** Channels of the model that a reading with this delivery has. */
function fedChannels ({ roles, channels }: Delivery, model: DeviceModel): readonly ChannelName[] {
  const named = new Set([roles.has('spo2') ? model.v1?.spo2 : undefined, roles.has('tissueO2') ? model.v1?.local_tissue_o2 : undefined])
  return model.channels.filter(channel => named.has(channel.metric) || channels.some(one => isSame(one, channel)))
}
