/** Who of a consumer group takes which partition: every member says which it wishes for and which it has; it keeps what it has as long as that
 *  is no more than its share, and what nobody has goes to the one that has least. */

import kafkajs, { type GroupMember, type GroupMemberAssignment, type PartitionAssigner } from 'kafkajs'

export interface Wish {
  /** Partitions the member would take. */
  partitions: readonly number[]
  /** Those it has. */
  has: readonly number[]
}

/** Bump when the meaning of a wish changes: members of both forms then agree on none, and say so. */
const NAME = 'oxbow-wished-partitions-1'

/** Of one member. @param wish asked at each joining */
export function wishedPartitions (topic: string, wish: () => Wish): PartitionAssigner {
  return () => ({
    name: NAME,
    version: 1,
    protocol: ({ topics }) => ({ name: NAME, metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({ version: 1, topics: [...topics], userData: Buffer.from(JSON.stringify(wish())) }) }),
    assign: async ({ members }) => encode(topic, sharePartitions(new Map(members.map(member => [member.memberId, wishOf(member)]))))
  })
}

/** @param members by id */
export function sharePartitions (members: ReadonlyMap<string, Wish>): ReadonlyMap<string, readonly number[]> {
  const shares = new Map([...members.keys()].sort().map(id => [id, [] as number[]]))
  const mayKeep = keepers(members)
  const left: number[] = []
  for (const partition of [...new Set([...members.values()].flatMap(({ partitions }) => partitions))].sort((a, b) => a - b)) {
    const holder = [...shares].find(([id, share]) => {
      const { has, partitions } = members.get(id)!
      return has.includes(partition) && partitions.includes(partition) && mayKeep(id, share.length)
    })
    if (holder === undefined) left.push(partition)
    else holder[1].push(partition)
  }
  for (const partition of left) {
    const candidates = [...shares].filter(([id]) => members.get(id)!.partitions.includes(partition))
    candidates.reduce((least, one) => one[1].length < least[1].length ? one : least)[1].push(partition)
  }
  return shares
}

/** Members with the same wish share its partitions evenly; what is over goes to the first who still hold one more. Tells whether member `id`, keeping `kept` already, may keep another. */
function keepers (members: ReadonlyMap<string, Wish>): (id: string, kept: number) => boolean {
  const groups = new Map<string, { share: number, over: number }>()
  for (const [form, list] of Map.groupBy(members.values(), ({ partitions }) => String(partitions))) {
    const count = list[0]!.partitions.length
    groups.set(form, { share: Math.floor(count / list.length), over: count % list.length })
  }
  return (id, kept) => {
    const group = groups.get(String(members.get(id)!.partitions))!
    if (kept < group.share) return true
    if (kept > group.share || group.over === 0) return false
    group.over--
    return true
  }
}

function wishOf ({ memberMetadata }: GroupMember): Wish {
  const metadata = kafkajs.AssignerProtocol.MemberMetadata.decode(memberMetadata)
  return JSON.parse(String(metadata?.userData ?? '')) as Wish
}

function encode (topic: string, shares: ReadonlyMap<string, readonly number[]>): GroupMemberAssignment[] {
  return [...shares].map(([memberId, partitions]) => ({
    memberId,
    memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({ version: 1, assignment: { [topic]: [...partitions] }, userData: Buffer.alloc(0) })
  }))
}
