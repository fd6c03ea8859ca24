// Second half of `npm run build`: everything under src/ that is no TypeScript, and what src/ reads from beside it.
// The package.json that stands there names the commit: GIT_COMMIT where the build has no clone around it, as in an image.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { commit } from '../src/config/product.ts'

for (const folder of ['src', 'mappings', 'fhir-profiles']) {
  cpSync(folder, `dist/${folder}`, { recursive: true, filter: path => !path.endsWith('.ts') })
}
const gitHead = process.env.GIT_COMMIT || commit()
writeFileSync('dist/package.json', `${JSON.stringify({ ...JSON.parse(readFileSync('package.json', 'utf8')), gitHead }, null, 2)}\n`)
