import { expect, test } from 'vitest'
import { createLeading } from '../../../src/system/leading.ts'

const WAIT = { timeout: 4_000 }

/** Work that says what becomes of it, and ends when it is let. */
function workshop () {
  const said: string[] = []
  const ends: (() => void)[] = []
  let count = 0
  const leading = createLeading<{ name: number, stop (): Promise<void> }>()
  const begin = () => {
    const name = ++count
    said.push(`begin ${name}`)
    return {
      name,
      stop: async () => {
        said.push(`stop ${name}`)
        await new Promise<void>(resolve => { ends.push(resolve) })
        said.push(`end ${name}`)
      }
    }
  }
  return { leading, begin, said, endOne: () => expect.poll(() => ends.length, WAIT).toBe(1).then(() => { ends.shift()!() }) }
}

test('work begins once the lead is held, and not before', async () => {
  const { leading, begin, said, endOne } = workshop()
  leading.run(begin)
  leading.set(false)
  await expect.poll(() => leading.current(), WAIT).toBeUndefined()
  leading.set(true)
  await expect.poll(() => leading.current()?.name, WAIT).toBe(1)
  const stopped = leading.stop()
  await endOne()
  await stopped
  expect(said).toEqual(['begin 1', 'stop 1', 'end 1'])
})

test('work of a lead that was lost has ended before it begins again, however soon the lead is back', async () => {
  const { leading, begin, said, endOne } = workshop()
  leading.set(true)
  leading.run(begin)
  await expect.poll(() => leading.current()?.name, WAIT).toBe(1)
  leading.set(false)
  await expect.poll(() => said, WAIT).toEqual(['begin 1', 'stop 1'])
  expect(leading.current()).toBeUndefined()
  leading.set(true)
  await endOne()
  await expect.poll(() => leading.current()?.name, WAIT).toBe(2)
  expect(said).toEqual(['begin 1', 'stop 1', 'end 1', 'begin 2'])
  leading.set(false)
  const stopped = leading.stop()
  await endOne()
  await stopped
  leading.set(true)
  await leading.stop()
  expect(said).toEqual(['begin 1', 'stop 1', 'end 1', 'begin 2', 'stop 2', 'end 2'])
})
