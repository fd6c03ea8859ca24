/** Records on a topic of ours that Oxbow did not write, and where its readers hand them. */

export interface ForeignRecord { partition: number, offset: number, value: Uint8Array }

/** Keeps them; resolves when all are durable. Who reads the topic may hand one over again after a crash: by its place on the topic it is known, and kept once. */
export type SetAside = (records: readonly ForeignRecord[]) => Promise<void>
