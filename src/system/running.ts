/** What a role says of itself once it runs. */

import type { DeviceModels } from '../model/device-model.ts'

export interface Running {
  /** `http://host:port` it listens on. */
  address: string
  models: DeviceModels
}
