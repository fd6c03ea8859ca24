// Second half of `npm run build`: everything under src/ that is no TypeScript, and what src/ reads from beside it.
import { cpSync } from 'node:fs'

cpSync('src', 'dist/src', { recursive: true, filter: path => !path.endsWith('.ts') })
for (const folder of ['mappings', 'fhir-profiles']) cpSync(folder, `dist/${folder}`, { recursive: true })
cpSync('package.json', 'dist/package.json')
