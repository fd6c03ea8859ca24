/** `GET /`: the front page, made at most once a second however many look at it. */

import type { FastifyPluginAsync } from 'fastify'
import type { EpochMs } from '../model/units.ts'
import { type Curve, type DeviceCounts, frontPage, type FrontPageCounts, type FrontPageStatus } from './front-page.ts'

export interface FrontPageParts {
  status (): Promise<FrontPageStatus>
  counts (): Promise<FrontPageCounts>
  /** Latest curves of the demonstration ward; asked only where `isDemo`. */
  curves (): Promise<readonly Curve[]>
  /** What came in by sensor of the demonstration ward; asked only where `isDemo`. */
  devices (): Promise<readonly DeviceCounts[]>
  isDemo: boolean
  version: string
  /** Address under which clients reach the server; asked when it listens. */
  address (): string
  now (): EpochMs
  /** How long a page is handed out again. Default 1 s. */
  keepMs?: number
}

const KEEP_MS = 1_000

export function frontPageRoutes (parts: FrontPageParts): FastifyPluginAsync {
  let page: Promise<string> | undefined
  let madeAt = 0
  const current = (): Promise<string> => {
    const now = parts.now()
    if (page !== undefined && now - madeAt < (parts.keepMs ?? KEEP_MS)) return page
    madeAt = now
    page = makePage(parts, now)
    return page
  }
  return async app => {
    app.get('/', { config: { access: 'public', audit: 'none' } }, async (_request, reply) => {
      reply.type('text/html; charset=utf-8').header('Cache-Control', 'no-store')
      return current()
    })
  }
}

/** A part that gives no answer leaves its place empty; the page says more than an error would. */
async function makePage (parts: FrontPageParts, now: EpochMs): Promise<string> {
  const { isDemo, version } = parts
  const [status, counts, curves, devices] = await Promise.all([
    parts.status(),
    parts.counts().catch(() => undefined),
    isDemo ? parts.curves().catch(() => []) : [],
    isDemo ? parts.devices().catch(() => []) : []
  ])
  return frontPage({ isDemo, version, now, address: parts.address(), status, counts, curves, devices })
}
