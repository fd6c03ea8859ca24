declare module 'kafkajs-snappy' {
  /** A codec as kafkajs takes it. */
  const codec: () => { compress (encoder: { buffer: Buffer }): Promise<Buffer>, decompress (buffer: Buffer): Promise<Buffer> }
  export = codec
}
