/** `oxbow docs`: writes the pages that are printed from code. */

import { writeFile } from 'node:fs/promises'
import { configurationPage } from '../config/document.ts'
import { topicsPage } from '../platform/bus/topics-page.ts'
import { EXIT, type Verb } from './verb.ts'

export const docsVerb: Verb = {
  name: 'docs',
  summary: 'write the generated pages of docs/ (for developers)',
  usage: 'Usage: oxbow docs\n\nWrites docs/configuration.md from the settings and docs/topics.md from the topics; run it in the project folder.\n',
  run: async (_args, context) => {
    for (const [path, page] of [['docs/configuration.md', configurationPage()], ['docs/topics.md', topicsPage()]] as const) {
      await writeFile(path, page)
      context.stderr(`wrote ${path}\n`)
    }
    return EXIT.done
  }
}
