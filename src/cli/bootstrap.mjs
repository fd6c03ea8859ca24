// Any Node from 20 on -> installed packages, and the Node that the scripts need; one line and exit 1 where either cannot be had.
// Plain JavaScript: it runs before anything is installed, on whatever Node the machine has.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'

const NEEDED = [24, 2]
const INSTALLED = 'node_modules/.package-lock.json'

function isStale () {
  return !existsSync(INSTALLED) || statSync(INSTALLED).mtimeMs < statSync('package-lock.json').mtimeMs
}

/** What `node` will be in the scripts: npm puts the installed one first. */
function versionOfScripts () {
  const isThere = existsSync('node_modules/node/bin/node') || existsSync('node_modules/node/bin/node.exe')
  return isThere ? JSON.parse(readFileSync('node_modules/node/package.json', 'utf8')).version : process.versions.node
}

function refuse (message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

if (isStale()) {
  try {
    // Its output is for people: the result of a verb stands alone on standard output.
    execFileSync('npm', ['ci'], { stdio: ['inherit', 2, 2], shell: process.platform === 'win32' })
  } catch {
    refuse('oxbow could not install its packages: see above what npm says')
  }
}

const version = versionOfScripts()
const [major, minor] = version.split('.').map(Number)
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  refuse(`oxbow needs Node ${NEEDED.join('.')} or newer, this is ${version}: run 'npm ci' without --ignore-scripts, which installs it here, or install it yourself`)
}
