import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTextMemory } from '../../../src/model/text-memory.ts'

test('whatever came before, a text is the text of its bytes', () => {
  const bytes = fc.oneof(fc.string({ unit: 'grapheme' }).map(text => Buffer.from(text)), fc.constantFrom('s1a', 's1b', 'é', 'a').map(text => Buffer.from(text)), fc.uint8Array({ maxLength: 4 }).map(Buffer.from))
  fc.assert(fc.property(fc.array(bytes), fc.constantFrom(1, 2, 8), (texts, slots) => {
    const memory = createTextMemory(slots)
    for (const text of texts) expect(memory(Buffer.concat([Buffer.from('x'), text, Buffer.from('y')]), 1, text.length)).toBe(text.toString('utf8'))
  }))
})

test('a text that comes again is not read again, until another has taken its slot', () => {
  const read: string[] = []
  const memory = createTextMemory(1, bytes => {
    read.push(String(Buffer.from(bytes)))
    return read.at(-1)!
  })
  for (const text of ['one', 'one', 'two', 'two', 'one']) expect(memory(Buffer.from(text), 0, text.length)).toBe(text)
  expect(read).toEqual(['one', 'two', 'one'])
})

test('what cannot be read is not kept', () => {
  const memory = createTextMemory(4, () => { throw new Error('none') })
  for (let time = 0; time < 2; time++) expect(() => memory(Buffer.from('x'), 0, 1)).toThrow('none')
})
