/** Sids → what the stream must know of them: model, period, calibrations; nothing that says who or which device. */

import type { Pool } from 'pg'
import type { SidContext, SidContexts } from '../../model/identity.ts'
import type { Sid } from '../../model/reading.ts'
import { epochMs } from '../../model/units.ts'
import { calibrationsOf, plainCalibration } from './calibration.ts'
import { MODEL_COLUMN } from './device-identity.ts'
import { fromRange, rangeColumns } from './span.ts'

/** A withdrawn association has the empty period [0, 0). Asks the database each time. */
export function createSidContexts (pool: Pool): SidContexts {
  return async sids => {
    const { rows } = await pool.query<{ sid: Sid, device: string, model: string, lower: number | null, upper: number | null }>(
      `select m.sid, m.device, ${MODEL_COLUMN}, ${rangeColumns('m.valid')}
       from linkage.sid_map m join fhir.resource d on d.type = 'Device' and d.id = m.device where m.sid = any($1)`, [sids])
    const calibrations = Map.groupBy(await calibrationsOf(pool, [...new Set(rows.map(({ device }) => device))]), ({ device }) => device)
    return new Map(rows.map(row => {
      const valid = fromRange(row.lower, row.upper) ?? { from: epochMs(0), until: epochMs(0) }
      const context: SidContext = {
        sid: row.sid,
        model: row.model,
        validFrom: valid.from,
        ...(valid.until === undefined ? {} : { validUntil: valid.until }),
        calibrations: (calibrations.get(row.device) ?? []).map(plainCalibration)
      }
      return [row.sid, context] as const
    }))
  }
}
