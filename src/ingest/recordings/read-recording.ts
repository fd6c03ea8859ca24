/** A file's text → recording, by what the file itself looks like. */

import { ServiceError } from '../../model/errors.ts'
import { type ColumnMap, readCsv } from './csv.ts'
import { isMoxy, readMoxy } from './moxy.ts'
import type { Recording } from './recording.ts'
import { isTrainRed, readTrainRed } from './train-red.ts'
import { isVo2Master, readVo2Master } from './vo2-master.ts'

/** @param columns needed for plain CSV only. @throws ServiceError INPUT_UNREADABLE */
export function readRecording (text: string, columns?: ColumnMap): Recording {
  if (columns !== undefined) return readCsv(text, columns)
  if (isMoxy(text)) return readMoxy(text)
  if (isTrainRed(text)) return readTrainRed(text)
  if (isVo2Master(text)) return readVo2Master(text)
  throw new ServiceError('incorrect', 'INPUT_UNREADABLE', 'the file is none of the known exports (Moxy, Train.Red, VO2 Master): name its columns with --columns')
}
