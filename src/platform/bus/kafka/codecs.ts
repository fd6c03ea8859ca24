/** The codecs that others compress topics with and kafkajs lacks: without them a consumer ends for good at the first such record. */

import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { compressFrame, decompressFrame } from 'lz4-napi'

const zstd = { compress: promisify(zstdCompress), decompress: promisify(zstdDecompress) }

/** What kafkajs hands to `compress`. */
interface Encoded { buffer: Buffer }

/** May be called any number of times. */
export function registerCodecs (): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs
  CompressionCodecs[CompressionTypes.Snappy] = snappy
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: ({ buffer }: Encoded) => compressFrame(buffer),
    decompress: (buffer: Buffer) => decompressFrame(buffer)
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: ({ buffer }: Encoded) => zstd.compress(buffer),
    decompress: (buffer: Buffer) => zstd.decompress(buffer)
  })
}
