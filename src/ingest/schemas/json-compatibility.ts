/** Whether objects that one version of a JSON Schema allows are allowed by another, in the part of the language that is taken: both are closed, so a property must be known. */

import type { JsonProperty } from './json-property.ts'

/** [] when they are. What cannot be judged is refused. */
export function unreadableJson (reader: readonly JsonProperty[], writer: readonly JsonProperty[]): string[] {
  const known = new Map(reader.map(property => [property.name, property]))
  const sent = new Set(writer.map(({ name }) => name))
  return [
    ...writer.flatMap(property => changes(property, known.get(property.name)).map(change => `property ${property.name} ${change}`)),
    ...reader.filter(({ name, isRequired }) => isRequired && !sent.has(name)).map(({ name }) => `property ${name} is required, and never sent`)
  ]
}

function changes (written: JsonProperty, read: JsonProperty | undefined): string[] {
  if (read === undefined) return ['is not known']
  if (written.purpose.is === 'ignored' || read.purpose.is === 'ignored') return written.source === read.source && written.isRequired === read.isRequired ? [] : ['is ignored, and has changed: that is not judged']
  const isWider = read.type === written.type || (read.type === 'number' && written.type === 'integer')
  const isNarrower = read.minimum > written.minimum || read.maximum < written.maximum || read.minLength > written.minLength || read.maxLength < written.maxLength
  return [
    ...isWider ? [] : [`was ${written.type} and is ${read.type}`],
    ...written.isNullable && !read.isNullable ? ['may no longer be null'] : [],
    ...read.isRequired && !written.isRequired ? ['is required, and was not'] : [],
    ...isNarrower ? ['has narrower limits'] : []
  ]
}
