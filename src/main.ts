/** The process: environment and arguments in, one verb run, exit code out. */

const NODE_NEEDED = [24, 2] as const

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor < NODE_NEEDED[1])) {
  process.stderr.write(`oxbow needs Node ${NODE_NEEDED.join('.')} or newer, this is ${process.versions.node}: start it with npm start, or npm run -s oxbow -- VERB\n`)
  process.exit(2)
}

// Imported only now: the rest uses what an older Node lacks, and would fail with something less clear.
const { runVerb } = await import('./cli/run-verb.ts')

const stop = new AbortController()
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const
// The first asks to end in order; who asks again does not want to wait.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => { if (stop.signal.aborted) process.exit(SIGNALS[name]); stop.abort() })
// A reader that is gone is no fault.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const code = await runVerb(process.argv.slice(2), {
  env: process.env,
  stdout: text => { process.stdout.write(text) },
  stderr: text => { process.stderr.write(text) },
  isTerminal: process.stderr.isTTY === true,
  now: () => Date.now() as never,
  signal: stop.signal
})
// A pipe takes 64 KiB before its reader has read: what was written beyond would be lost with the process. A reader that is gone ends the wait too.
for (const stream of [process.stdout, process.stderr]) await new Promise(resolve => { stream.write('', resolve) })
// Everything has ended by then; what a library still waits for keeps nobody.
process.exit(code)
