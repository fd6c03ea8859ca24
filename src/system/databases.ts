/** The databases as a role has them: opened, migrated and led, or joined beside the server that does so. */

import { type Lead, takeLead } from '../platform/postgres/lead.ts'
import { joinStores, openStores, reachStores, type Stores } from '../platform/postgres/open-stores.ts'
import type { Ground } from './ground.ts'

/** @param onLead told whether this server leads; it does when this resolves. @throws ServiceError conflict STORE_IN_USE when another one leads, before anything is changed */
export async function leadDatabases (ground: Ground, onLead: (isHeld: boolean) => void): Promise<Stores> {
  const { config, running, missing, onLost } = ground
  let lead: Lead | undefined
  try {
    const stores = await openStores(config, {
      onState: state => {
        if (state === 'taken') onLost()
        if (state === 'up') missing.delete('postgres')
        else missing.add('postgres')
      },
      beforeMigrations: async urls => { lead = await leadOn(ground, urls.login('oxbow_linkage'), onLead) }
    })
    running.push({ name: 'stores', stop: stores.close })
    return stores
  } finally {
    // After the databases in this list, so before them at the end: an embedded cluster that stops is no lead lost.
    if (lead !== undefined) running.push({ name: 'lead', stop: lead.close })
  }
}

async function leadOn ({ events, log, onLost }: Ground, url: string, onLead: (isHeld: boolean) => void): Promise<Lead> {
  const lead = await takeLead({
    url,
    onState: state => {
      if (state === 'held') events.clear('lead-lost')
      if (state === 'lost') events.raise('lead-lost')
      if (state === 'taken') {
        log.error('another server leads now: this one ends', { event: 'system.lead-taken' })
        onLost()
        return
      }
      onLead(state === 'held')
    }
  })
  onLead(true)
  return lead
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE when the embedded cluster does not run */
export async function joinDatabases ({ config, running }: Ground): Promise<Stores> {
  const stores = await joinStores(config)
  running.push({ name: 'stores', stop: stores.close })
  return stores
}

/** For what is done beside the server, or without one. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function visitDatabases ({ config, running }: Ground): Promise<Stores> {
  const stores = await reachStores(config)
  running.push({ name: 'stores', stop: stores.close })
  return stores
}

/** Names of what is not there: a part that said so, or a store that does not answer. */
export async function missingParts ({ missing }: Pick<Ground, 'missing'>, stores: Stores): Promise<string[]> {
  return [...missing, ...(await stores.unreachable()).map(store => `store ${store}`)]
}
