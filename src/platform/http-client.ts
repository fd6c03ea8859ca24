/** One HTTP request to a system outside -> its answer as text; bounded in time and size, never following a redirect. */

import { ServiceError } from '../model/errors.ts'

export interface HttpLimits {
  /** For the whole exchange, the body included. */
  timeoutMs: number
  responseBytesMax: number
  /** Origins (`https://host:port`) that may be called; absent: any. */
  allowedOrigins?: ReadonlySet<string>
}

export interface HttpRequest {
  method: 'GET' | 'POST'
  url: string
  headers?: Readonly<Record<string, string>>
  body?: string
}

export interface HttpAnswer { status: number, header (name: string): string | undefined, text: string }

/** Any status but a redirect is an answer. @throws ServiceError unavailable HTTP_UNREACHABLE when it is not known whether the request
 *  arrived; forbidden HTTP_REFUSED when it was not sent, or answered by a redirect */
export async function sendHttp (request: HttpRequest, limits: HttpLimits, signal?: AbortSignal): Promise<HttpAnswer> {
  assertAllowed(request.url, limits)
  const timeout = AbortSignal.timeout(limits.timeoutMs)
  try {
    const response = await fetch(request.url, {
      method: request.method,
      // A redirect could lead into our own network, and would take the token with it.
      redirect: 'manual',
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      ...(request.headers === undefined ? {} : { headers: { ...request.headers } }),
      ...(request.body === undefined ? {} : { body: request.body })
    })
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel()
      throw new ServiceError('forbidden', 'HTTP_REFUSED', 'the other system answered with a redirect: name its final address')
    }
    return { status: response.status, header: name => response.headers.get(name) ?? undefined, text: await readText(response, limits.responseBytesMax) }
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', 'the other system did not answer in time', { cause: error })
  }
}

function assertAllowed (url: string, limits: HttpLimits): void {
  const parsed = URL.parse(url)
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new ServiceError('forbidden', 'HTTP_REFUSED', 'only http and https addresses are called')
  }
  if (limits.allowedOrigins !== undefined && !limits.allowedOrigins.has(parsed.origin)) {
    throw new ServiceError('forbidden', 'HTTP_REFUSED', 'the address is not on the list of systems that may be called')
  }
}

async function readText (response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', `the answer is larger than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
