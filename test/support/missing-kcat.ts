/** Whether this machine has kcat (Debian: `kafkacat`), the producer of librdkafka for the command line. */

import { spawnSync } from 'node:child_process'

export function missingKcat (): string | undefined { return spawnSync('kcat', ['-V']).error === undefined ? undefined : 'kcat is not installed' }
