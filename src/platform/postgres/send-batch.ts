/**
 * SQL statements and COPY data -> one transaction in one round trip: all statements go as one Query message, which PostgreSQL runs as
 * one transaction (protocol, "Multiple Statements in a Simple Query"), and the data of each COPY follows without waiting to be asked.
 * Data behind a failed statement is ignored by the server ("COPY Operations"), so nothing is done unless everything is.
 */

import type { PoolClient, Submittable } from 'pg'

/** A statement, or a `COPY … FROM STDIN` with its data. */
export type BatchPart = string | { copy: string, bytes: Buffer }

/** Runs the parts in order as one transaction. The bytes must stay as they are until it resolves.
 *  @param client not inside a transaction
 *  @throws the first error of PostgreSQL; then nothing was done */
export function sendBatch (client: PoolClient, parts: readonly BatchPart[]): Promise<void> {
  return new Promise((resolve, reject) => { client.query(batch(parts, resolve, reject)) })
}

/** The methods of pg's connection that carry COPY; pg-copy-streams rests on the same. */
interface CopyConnection {
  stream: { cork (): void, uncork (): void }
  query (text: string): void
  sendCopyFromChunk (chunk: Buffer): void
  endCopyFrom (): void
}

function batch (parts: readonly BatchPart[], resolve: () => void, reject: (error: unknown) => void): Submittable {
  const ignore = () => {}
  return {
    submit (connection: unknown) {
      const wire = connection as CopyConnection
      wire.stream.cork()
      wire.query(parts.map(part => typeof part === 'string' ? part : part.copy).join(';\n'))
      for (const part of parts) {
        if (typeof part === 'string') continue
        wire.sendCopyFromChunk(part.bytes)
        wire.endCopyFrom()
      }
      wire.stream.uncork()
    },
    handleError: reject,
    handleReadyForQuery: resolve,
    handleRowDescription: ignore,
    handleDataRow: ignore,
    handleCommandComplete: ignore,
    handleEmptyQuery: ignore,
    handlePortalSuspended: ignore,
    handleCopyInResponse: ignore,
    handleCopyData: ignore
  } as Submittable
}
