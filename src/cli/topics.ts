/** `oxbow topics apply`: brings our topics on the Kafka cluster to what the settings want. */

import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { kafkaBrokers } from '../config/start-refusals.ts'
import type { Difference } from '../platform/bus/kafka/govern-topics.ts'
import { wrongUse } from './given.ts'
import { EXIT, type Verb } from './verb.ts'

const USAGE = `Usage: oxbow topics apply [--dry-run] [--config FILE]

Makes the topics of Oxbow that are missing on the Kafka cluster (kafka.brokers), and corrects
settings that differ, above all so that the broker removes nothing by itself: what is read
and older than bus.retain is removed by Oxbow. The number of partitions and of copies of a
topic that is there is reported and not changed: readings of a device would change their
partition, and copies are moved with the tools of Kafka. A server makes what is missing at
its start too; use this verb with a login that has rights which the server's has not.

  --dry-run      say what would be done
  --config FILE  settings as JSON, as for serve
  --help         this text
`

export const topicsVerb: Verb = {
  name: 'topics',
  summary: 'make the topics on Kafka and bring their settings up to date',
  usage: USAGE,
  run: async (args, context) => {
    const { values, positionals } = parseArgs({ args: [...args], options: { config: { type: 'string' }, 'dry-run': { type: 'boolean', default: false } }, allowPositionals: true })
    if (positionals.length !== 1 || positionals[0] !== 'apply') throw wrongUse("the one thing to do is 'apply'")
    const config = loadConfig(context.env, values.config)
    if (kafkaBrokers(config).length === 0) throw wrongUse('kafka.brokers names no broker (the embedded bus has no topics to apply)')
    const { applyTopics, compareTopics, isApplied } = await import('../platform/bus/kafka/govern-topics.ts')
    const differences = values['dry-run'] ? await compareTopics(config) : await applyTopics(config)
    for (const difference of differences) context.stdout(`${sentence(difference, values['dry-run'])}\n`)
    if (differences.length === 0) context.stdout('all topics are as the settings want them\n')
    return differences.every(isApplied) ? EXIT.done : EXIT.notSo
  }
}

function sentence ({ topic, what, name, is, wants }: Difference, isDry: boolean): string {
  const done = isDry ? 'to be ' : ''
  switch (what) {
    case 'topic': return `${topic}: ${done}made, ${wants}`
    case 'setting': return `${topic}: ${name} ${done}set to ${wants} (${is === '' ? 'was not set' : `was ${is}`})`
    case 'partitions': return `${topic}: has ${is} partitions and bus.partitions is ${wants}; not changed: set bus.partitions to ${is}`
    case 'replicas': return `${topic}: has ${is} copies and kafka.replicationFactor is ${wants}; not changed: move its copies with kafka-reassign-partitions`
  }
}
