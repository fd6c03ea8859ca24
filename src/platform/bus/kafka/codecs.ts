/** The codecs that others compress topics with: those that kafkajs lacks, without which a consumer ends for good at the first such record, and bounds on what a
 *  batch may unpack to. snappy and lz4 cannot grow without end; gzip and zstd can. */

import { promisify } from 'node:util'
import { gzip, unzip, zstdCompress, zstdDecompress } from 'node:zlib'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { compressFrame, decompressFrame } from 'lz4-napi'

/** A batch of a topic holds 1 MiB as a rule, compressed. */
const INFLATED = { maxOutputLength: 256 * 1024 * 1024 }

const zstd = { compress: promisify(zstdCompress), decompress: promisify<Buffer, typeof INFLATED, Buffer>(zstdDecompress) }
const zip = { compress: promisify(gzip), decompress: promisify<Buffer, typeof INFLATED, Buffer>(unzip) }

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
    decompress: (buffer: Buffer) => zstd.decompress(buffer, INFLATED)
  })
  CompressionCodecs[CompressionTypes.GZIP] = () => ({
    compress: ({ buffer }: Encoded) => zip.compress(buffer),
    decompress: (buffer: Buffer) => zip.decompress(buffer, INFLATED)
  })
}
