/** A process that starts an embedded cluster on the folder named, says so on standard output, and waits to be killed or told to stop. */

import { startCluster } from '../../src/platform/postgres/cluster.ts'

const cluster = await startCluster({ dataDir: process.argv[2]! })
process.stdout.write(`${JSON.stringify({ url: cluster.url('series'), ownerUrl: cluster.ownerUrl('series') })}\n`)
process.once('SIGTERM', () => { cluster.stop().then(() => { process.exit(0) }) })
setInterval(() => {}, 60_000)
