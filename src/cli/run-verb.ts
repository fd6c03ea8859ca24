/** Words → verb: finds the verb, answers `--help`, and turns what it throws into a message and an exit code. */

import { VERSION } from '../config/product.ts'
import { ServiceError } from '../model/errors.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'
import { VERBS } from './verbs.ts'

export async function runVerb (words: readonly string[], context: CliContext): Promise<number> {
  const [name, ...args] = words
  if (name === undefined || name === '--help' || name === 'help') {
    context.stdout(overview())
    return name === undefined ? EXIT.wrongUse : EXIT.done
  }
  if (name === '--version' || name === 'version') {
    context.stdout(`${VERSION}\n`)
    return EXIT.done
  }
  const verb = VERBS.find(candidate => candidate.name === name)
  if (verb === undefined) {
    context.stderr(`oxbow: no such verb; 'oxbow --help' lists them\n`)
    return EXIT.wrongUse
  }
  if (args.includes('--help')) {
    context.stdout(verb.usage.endsWith('\n') ? verb.usage : `${verb.usage}\n`)
    return EXIT.done
  }
  return runGuarded(verb, withNegativeNumbers(args), context)
}

/** `--limit -3` → `--limit=-3`: parseArgs takes a negative number for an option, and the verb would not come to say its limits. */
function withNegativeNumbers (args: readonly string[]): string[] {
  const joined: string[] = []
  for (const word of args) {
    const last = joined.at(-1)
    if (/^-\d/.test(word) && last !== undefined && /^--[a-z-]+$/.test(last)) joined[joined.length - 1] = `${last}=${word}`
    else joined.push(word)
  }
  return joined
}

async function runGuarded (verb: Verb, args: readonly string[], context: CliContext): Promise<number> {
  try {
    return await verb.run(args, context)
  } catch (error) {
    if (error instanceof ServiceError) {
      const hint = error.code === 'USAGE' ? `; 'oxbow ${verb.name} --help' tells more` : ''
      context.stderr(`oxbow ${verb.name}: ${error.message}${hint}\n`)
      return error.code === 'USAGE' || error.code === 'CONFIG_INVALID' ? EXIT.wrongUse : EXIT.notSo
    }
    // parseArgs of node:util names the option, never its value.
    if (error instanceof TypeError && String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')) {
      context.stderr(`oxbow ${verb.name}: ${error.message}\n`)
      return EXIT.wrongUse
    }
    context.stderr(`oxbow ${verb.name}: failed (${error instanceof Error ? error.stack ?? error.name : 'unknown error'})\n`)
    return EXIT.notSo
  }
}

function overview (): string {
  const width = Math.max(...VERBS.map(verb => verb.name.length))
  const lines = VERBS.map(verb => `  ${verb.name.padEnd(width)}  ${verb.summary}`)
  return ['Usage: oxbow VERB [options]', '', ...lines, '', "'oxbow VERB --help' tells more of one verb, 'oxbow --version' which version this is.", ''].join('\n')
}
