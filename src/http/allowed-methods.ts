/** The routes of an app, as they are registered → which methods an address takes. */

export interface RouteTable {
  /** @param url a pattern: `/fhir/Patient/:id` */
  add (url: string, methods: readonly string[]): void
  /** Ascending; empty when there is nothing at this path. @param path without query */
  methodsAt (path: string): readonly string[]
}

export function createRouteTable (): RouteTable {
  const routes = new Map<string, Set<string>>()
  return {
    add: (url, methods) => {
      const known = routes.get(url) ?? new Set()
      for (const method of methods) known.add(method)
      routes.set(url, known)
    },
    methodsAt: path => {
      const parts = path.split('/')
      const found = [...routes].filter(([url]) => isMatch(url.split('/'), parts))
      // What is named word for word goes before a parameter: /fhir/Patient/_search is no id.
      const exact = found.filter(([url]) => !url.includes(':'))
      return [...new Set((exact.length > 0 ? exact : found).flatMap(([, methods]) => [...methods]))].sort()
    }
  }
}

function isMatch (pattern: readonly string[], parts: readonly string[]): boolean {
  return pattern.length === parts.length && pattern.every((word, place) => word === parts[place] || (word.startsWith(':') && parts[place] !== ''))
}
