/** Settings → a writer for a receiver's topic on the cluster that they name. */

import type { Config } from '../../config/schema.ts'
import type { TopicWriter } from './kafka/topic-writer.ts'

/** @param log what the client library has to say. @throws ServiceError incorrect CONFIG_INVALID, at the first record, when a file that the settings name cannot be read */
export function topicWriterOf (config: Config, topic: string, log: (message: string) => void): TopicWriter {
  let opening: Promise<TopicWriter> | undefined
  // Loaded where it is used: the client costs memory and time at the start.
  async function open (): Promise<TopicWriter> {
    const [{ openTopicWriter }, { kafkaConnectionOf }] = await Promise.all([import('./kafka/topic-writer.ts'), import('./kafka/connection.ts')])
    return openTopicWriter({ connection: kafkaConnectionOf(config), topic, log })
  }
  return {
    async write (record) {
      opening ??= open()
      opening.catch(() => { opening = undefined })
      await (await opening).write(record)
    },
    close: async () => (await opening?.catch(() => undefined))?.close()
  }
}
