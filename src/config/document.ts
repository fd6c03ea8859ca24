/** Prints `docs/configuration.md` from the settings; a test compares the two. */

import { environmentName, SETTINGS, type Setting } from './schema.ts'

export function configurationPage (): string {
  const settings = Object.entries(SETTINGS) as [string, Setting][]
  const rows = settings.map(([name, setting]) =>
    `| \`${name}\` | \`${environmentName(name)}\` | ${typeText(setting)} | ${defaultText(setting)} | ${setting.doc} |`)
  return [
    '# Configuration',
    '',
    'Printed from `src/config/schema.ts` by `npm run -s docs`; do not edit by hand.',
    '',
    'A setting is read from the environment, else from the JSON file named by `OXBOW_CONFIG` or `--config`, else it has its default.',
    'In the file names may be nested (`{"http": {"port": 8080}}`) or flat (`{"http.port": 8080}`).',
    'A `duration` is a whole number of ms or has a unit (`500ms`, `30s`, `5min`, `24h`, `30d`); `bytes` are a number or have one (`64KiB`, `10MiB`); `json` stands as text in the environment.',
    'A secret may also be read from a file: set `<NAME>_FILE` to its path. All problems are reported at once, by name, never by value.',
    '',
    '| setting | environment | type | default | what it does |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    '## Forms of the json settings',
    'In the file:',
    '```json',
    JSON.stringify(Object.fromEntries(settings.filter(([, { example }]) => example !== undefined).map(([name, { example }]) => [name, example])), null, 2),
    '```',
    ''
  ].join('\n')
}

function typeText (setting: Setting): string {
  if (setting.type === 'choice') return setting.choices!.map(c => `\`${c}\``).join(' or ')
  if (setting.type === 'secret') return 'secret text'
  return `${setting.type}${rangeText(setting)}`
}

function rangeText ({ type, minimum, maximum }: Setting): string {
  const isSaid = type === 'whole' || type === 'port' || (type === 'duration' && maximum !== undefined)
  if (!isSaid) return ''
  const text = (value: number) => type === 'duration' ? durationText(value) : String(value)
  return `, ${text(minimum!)} to ${text(maximum!)}`
}

function defaultText (setting: Setting): string {
  if (setting.type === 'duration') return `\`${durationText(setting.default as number)}\``
  if (setting.type === 'bytes') return `\`${bytesText(setting.default as number)}\``
  if (setting.default === '') return '–'
  return `\`${typeof setting.default === 'object' ? JSON.stringify(setting.default) : String(setting.default)}\``
}

function durationText (ms: number): string {
  if (ms % 86_400_000 === 0) return `${ms / 86_400_000}d`
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`
  if (ms % 60_000 === 0) return `${ms / 60_000}min`
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`
}

function bytesText (size: number): string {
  return size % 1024 ** 2 === 0 ? `${size / 1024 ** 2}MiB` : size % 1024 === 0 ? `${size / 1024}KiB` : `${size}`
}
