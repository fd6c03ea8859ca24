/** Work that may never end → waited for so long and no longer. What it gives or throws does not matter any more. */
export async function within (ms: number, work: Promise<unknown>): Promise<void> {
  const over = Promise.withResolvers<void>()
  const timer = setTimeout(over.resolve, ms)
  await Promise.race([work.catch(() => {}), over.promise])
  clearTimeout(timer)
}
