/** `oxbow docs`: writes the pages that are printed from code. */

import { writeFile } from 'node:fs/promises'
import { configurationPage } from '../config/document.ts'
import { EXIT, type Verb } from './verb.ts'

export const docsVerb: Verb = {
  name: 'docs',
  summary: 'write the generated pages of docs/ (for developers)',
  usage: 'Usage: oxbow docs\n\nWrites docs/configuration.md from the settings; run it in the project folder.\n',
  run: async (_args, context) => {
    await writeFile('docs/configuration.md', configurationPage())
    context.stderr('wrote docs/configuration.md\n')
    return EXIT.done
  }
}
