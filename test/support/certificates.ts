/** A certificate authority of this run and what it signs, as PEM files; made by openssl. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificates {
  ca: string
  /** Certificate and key for 127.0.0.1 and localhost, in one file as a broker takes it. */
  serverFile: string
  caFile: string
  client: { cert: string, key: string }
}

export function makeCertificates (folder: string): Certificates {
  const openssl = (...args: string[]): void => { execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] }) }
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...EC, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=oxbow test authority', '-days', '2')
  for (const [name, subject, extension] of [['server', '/CN=localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], ['client', '/CN=oxbow', 'extendedKeyUsage=clientAuth']] as const) {
    openssl('req', ...EC, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    writeFileSync(join(folder, `${name}.ext`), `${extension}\n`)
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', `${name}.pem`, '-days', '2', '-extfile', `${name}.ext`)
  }
  writeFileSync(join(folder, 'server-all.pem'), read('server.key') + read('server.pem') + read('ca.pem'))
  return { ca: read('ca.pem'), serverFile: join(folder, 'server-all.pem'), caFile: join(folder, 'ca.pem'), client: { cert: read('client.pem'), key: read('client.key') } }
}
