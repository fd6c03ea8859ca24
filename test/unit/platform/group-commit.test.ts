import { expect, test } from 'vitest'
import { createGroupCommit, type GroupCommitOptions } from '../../../src/platform/group-commit.ts'

/** Commits that end when the test says so. */
function controlled (limits: Partial<GroupCommitOptions<number, string>> = {}) {
  const batches: { items: readonly number[], end: PromiseWithResolvers<void> }[] = []
  const commits = createGroupCommit<number, string>({
    commit: async items => {
      const end = Promise.withResolvers<void>()
      batches.push({ items, end })
      await end.promise
      return items.map(item => `done ${item}`)
    },
    weigh: item => ({ records: 1, bytes: item }),
    recordsMax: 100,
    bytesMax: 1_000,
    recordsEnough: 1,
    ...limits
  })
  return { commits, batches }
}
const settled = () => new Promise(resolve => { setImmediate(resolve) })

test('items of one turn share a commit, those that come meanwhile the next, with one in flight', async () => {
  const { commits, batches } = controlled()
  const results = [commits.add(1), commits.add(2)]
  await settled()
  results.push(commits.add(3))
  results.push(commits.add(4))
  await settled()
  expect(batches.map(({ items }) => items)).toEqual([[1, 2]])
  batches[0]!.end.resolve()
  await settled()
  expect(batches.map(({ items }) => items)).toEqual([[1, 2], [3, 4]])
  batches[1]!.end.resolve()
  expect(await Promise.all(results)).toEqual(['done 1', 'done 2', 'done 3', 'done 4'])
})

test('a commit holds no more records and bytes than allowed; a heavier item goes alone', async () => {
  const { commits, batches } = controlled({ recordsMax: 2, bytesMax: 10 })
  const results = [1, 1, 1, 8, 3, 50, 1].map(item => commits.add(item))
  for (let turn = 0; turn < 5; turn++) {
    await settled()
    batches[turn]!.end.resolve()
  }
  await Promise.all(results)
  expect(batches.map(({ items }) => items)).toEqual([[1, 1], [1, 8], [3], [50], [1]])
})

test('a failed commit fails its own items alone', async () => {
  const { commits, batches } = controlled()
  const first = commits.add(1)
  await settled()
  const second = commits.add(2)
  batches[0]!.end.reject(new Error('lost'))
  await expect(first).rejects.toThrow('lost')
  await settled()
  batches[1]!.end.resolve()
  expect(await second).toBe('done 2')
})

test('what is pending is known until its commit ends, and idle waits for all of it', async () => {
  const { commits, batches } = controlled()
  const result = commits.add(7)
  commits.add(5).catch(() => {})
  expect(commits.pending).toEqual({ records: 2, bytes: 12 })
  await settled()
  let isIdle = false
  const idle = commits.idle().then(() => { isIdle = true })
  await settled()
  expect(isIdle).toBe(false)
  batches[0]!.end.resolve()
  await Promise.all([result, idle])
  expect(commits.pending).toEqual({ records: 0, bytes: 0 })
})

test('an idle one begins anew', async () => {
  const { commits, batches } = controlled()
  for (let round = 0; round < 3; round++) {
    const result = commits.add(round)
    await settled()
    batches[round]!.end.resolve()
    expect(await result).toBe(`done ${round}`)
  }
})

test('a commit that would hold little waits while each turn brings more, and no longer', async () => {
  const { commits, batches } = controlled({ recordsEnough: 4 })
  const results: Promise<string>[] = []
  const add = (item: number) => { results.push(commits.add(item)) }
  // Each stands in its turn before the look of the commit.
  setImmediate(() => {
    add(2)
    setImmediate(add, 3)
  })
  add(1)
  await settled()
  await settled()
  expect(batches).toEqual([])
  await settled()
  await settled()
  expect(batches.map(({ items }) => items)).toEqual([[1, 2, 3]])
  batches[0]!.end.resolve()
  await Promise.all(results)
})

test('a commit that holds enough begins at once', async () => {
  const { commits, batches } = controlled({ recordsEnough: 2 })
  const results = [commits.add(1), commits.add(2)]
  await Promise.resolve()
  await Promise.resolve()
  expect(batches.map(({ items }) => items)).toEqual([[1, 2]])
  batches[0]!.end.resolve()
  await Promise.all(results)
})
