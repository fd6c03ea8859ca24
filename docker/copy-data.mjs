// Second half of `npm run build`: everything under src/ that is no TypeScript, and what src/ reads from beside it.
import { cpSync } from 'node:fs'

for (const folder of ['src', 'mappings', 'fhir-profiles']) {
  cpSync(folder, `dist/${folder}`, { recursive: true, filter: path => !path.endsWith('.ts') })
}
cpSync('package.json', 'dist/package.json')
