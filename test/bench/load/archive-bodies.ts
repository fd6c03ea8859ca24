/** Requests of gateways as bytes, to be kept and compared with: values wander as those of real readings do. Pure. */

import { recordText } from './body-template.ts'
import { deviceName, PERIOD_MS, type PlanShape, readingsPerPost } from './plan.ts'
import { createWander } from './wander.ts'

/** Gives the next requests, of all gateways in turn: each goes on where it stood. */
export function createBodies (plan: Omit<PlanShape, 'staggerMs'>): (readings: number) => Buffer[] {
  const shape = { ...plan, staggerMs: 0 }
  const wanders = Array.from({ length: plan.devices }, (_, device) => createWander(device))
  const gateways = plan.devices / plan.devicesPerPost
  let n = 0
  const body = (): Buffer => {
    const [gateway, post] = [n % gateways, Math.floor(n++ / gateways)]
    const texts = Array.from({ length: readingsPerPost(shape) }, (_, slot) => {
      const device = gateway * plan.devicesPerPost + slot % plan.devicesPerPost
      const takenAt = plan.startAt + (post * plan.readingsPerDevice + Math.floor(slot / plan.devicesPerPost)) * PERIOD_MS
      return recordText({ deviceId: deviceName(device), takenAt, ...wanders[device]!() })
    })
    return Buffer.from(`[${texts.join(',')}]`)
  }
  return readings => Array.from({ length: readings / readingsPerPost(shape) }, body)
}
