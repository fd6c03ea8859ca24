/** Every setting once: name, type, default, documentation. `load.ts` reads them, `docs/configuration.md` is printed from them. */

export type SettingType = 'text' | 'secret' | 'whole' | 'port' | 'choice' | 'duration' | 'bytes' | 'folder' | 'json'

export interface Setting<T = unknown> {
  type: SettingType
  default: T
  doc: string
  /** Of `choice`. */
  choices?: readonly string[]
  /** Of numbers, inclusive. */
  minimum?: number
  maximum?: number
  /** JSON Schema of a `json` setting, and a value that shows its form. */
  schema?: object
  example?: T
}

const text = (value: string, doc: string): Setting<string> => ({ type: 'text', default: value, doc })
const folder = (value: string, doc: string): Setting<string> => ({ type: 'folder', default: value, doc })
const secret = (doc: string): Setting<string> => ({ type: 'secret', default: '', doc })
const port = (value: number, doc: string): Setting<number> => ({ type: 'port', default: value, doc, minimum: 0, maximum: 65535 })
const whole = (value: number, minimum: number, maximum: number, doc: string): Setting<number> => ({ type: 'whole', default: value, doc, minimum, maximum })
const duration = (valueMs: number, doc: string, range: { minimum: number, maximum?: number } = { minimum: 0 }): Setting<number> => ({ type: 'duration', default: valueMs, doc, ...range })
const bytes = (value: number, doc: string): Setting<number> => ({ type: 'bytes', default: value, doc, minimum: 1 })
function choice<const C extends string> (value: NoInfer<C>, choices: readonly C[], doc: string): Setting<C> {
  return { type: 'choice', default: value, doc, choices }
}
function json<T> (value: T, schema: object, doc: string, example: T): Setting<T> { return { type: 'json', default: value, doc, schema, example } }

/** Signed clinical configuration of the tissue oxygen deficit (fhir-modelling.md §5.1): no threshold has a default. */
export interface DeficitThreshold { metric: string, threshold: number, unit: string, author: string, rationale: string, maxGapMs?: number }
export interface DestinationSetting {
  name: string
  kind: 'fhir' | 'directory' | 'kafka'
  /** FHIR base URL, a folder, or a topic of the receiver's. */
  to: string
  /** File that holds a bearer token. */
  tokenFile?: string
  /** Identifier system under which the receiver knows its patients. */
  patientSystem?: string
  bundleEntriesMax?: number
}
/** A topic that devices or vendors write to. */
export interface TopicSetting {
  topic: string
  /** How its messages are to be read: `confluent` is the wire format that begins with 0x00 and a schema id. */
  content: 'confluent' | 'avro' | 'json' | 'protobuf'
  /** Of messages without the header `oxbow-schema-id`. */
  schemaId?: number
}
/** The wrapping keys, one for each store that seals. */
export const WRAPPING_KEYS = ['linkage', 'archive', 'audit', 'quarantine', 'delivery', 'release'] as const
/** Ids, ARNs or aliases of a key service's keys by wrapping key, the newest last: it wraps, the others still open. */
export type KeyIds = Partial<Record<(typeof WRAPPING_KEYS)[number], string[]>>
export interface ExternalIssuer {
  issuer: string
  audience: string
  algorithms: string[]
  jwksUri?: string
  jwks?: { keys: object[] }
  typ?: string[]
  scopeClaim?: string
  patientClaim?: string
  fhirUserClaim?: string
  clientAllowList?: string[]
}

/** Most readings of one sender: `perSecond · t + burst` in any time t. */
export interface RateSetting { perSecond: number, burst: number }

const string = { type: 'string', minLength: 1 }
const RATE = {
  anyOf: [{ type: 'null' }, {
    type: 'object',
    required: ['perSecond', 'burst'],
    additionalProperties: false,
    properties: { perSecond: { type: 'integer', minimum: 1 }, burst: { type: 'integer', minimum: 1 } }
  }]
}
/** 1 s to 1 d, in ms: late data is looked for in the day before a window's end. */
const WINDOW_SIZES = { minimum: 1_000, maximum: 86_400_000 }

export const SETTINGS = {
  mode: choice('development', ['development', 'production'], 'In `production` the local key ring, demo data, shared databases or roles and plain HTTP off loopback are refused.'),
  dataDir: folder('.oxbow', 'Folder of everything Oxbow keeps on this machine: embedded PostgreSQL and its log. The local keys stand beside it.'),
  demo: choice('on', ['on', 'off'], '`on` runs the demonstration ward: a replayed recording and simulated sensors, marked DEMO in every resource and response.'),
  roles: choice('all', ['all', 'stream'], '`all` does everything; one such server leads a deployment, a second one is refused. `stream` only stores what comes over the bus and closes windows, beside the one that leads, and needs `bus.kind` `kafka`; any number of them share the work.'),
  'log.level': choice('info', ['debug', 'info', 'warn', 'error'], 'Least level that is logged; logs go to standard error as JSON lines.'),

  'http.host': text('127.0.0.1', 'Address to listen on. Off loopback the start is refused unless `http.allowPlain` and, with keys in a file, `keys.allowLocal` are `yes`, and with the demonstration ward.'),
  'http.port': port(8080, 'Port to listen on; 0 takes any free one.'),
  'http.publicUrl': text('', 'Address under which clients reach this server, without a trailing slash; empty: the address it listens on.'),
  'http.allowPlain': choice('no', ['no', 'yes'], '`yes` allows plain HTTP off loopback, for example behind a proxy that speaks TLS.'),
  'http.stopTimeout': duration(8_000, 'How long running requests may take after SIGTERM before their connections are closed.'),

  'ingest.bodyMax': bytes(10 * 1024 * 1024, 'Largest request body as sent; larger: 413.'),
  'ingest.inflatedMax': bytes(64 * 1024 * 1024, 'Largest request body after decompression; larger: 413.'),
  'ingest.recordsMax': whole(10_000, 1, 1_000_000, 'Most records in one request; more: 413.'),
  'ingest.recordMax': bytes(64 * 1024, 'Largest single record; larger: quarantined as `record-too-large`.'),
  'ingest.depthMax': whole(16, 2, 1_000, 'Deepest nesting of a JSON body; deeper: unreadable.'),
  'ingest.futureMax': duration(5 * 60_000, 'How far ahead of the server a reading may lie; further: quarantined as `time-future`.', { minimum: 0, maximum: 86_400_000 }),
  'ingest.topics': json<TopicSetting[]>([], {
    type: 'array',
    items: {
      type: 'object',
      required: ['topic', 'content'],
      additionalProperties: false,
      properties: {
        topic: { type: 'string', pattern: '^[a-zA-Z0-9._-]{1,200}$' },
        content: { enum: ['confluent', 'avro', 'json', 'protobuf'] },
        schemaId: { type: 'integer', minimum: 1, maximum: 2_147_483_647 }
      }
    }
  }, 'Topics that devices or vendors write to, on the cluster of `kafka.brokers`: read from the oldest record there is. `content`: `confluent` (0x00, 4-byte schema id, and what that schema is of), or plain `avro`, `json` or `protobuf`, whose schema the header `oxbow-schema-id` names, else `schemaId`.',
  [{ topic: 'vendor.telemetry', content: 'confluent' }, { topic: 'clinic.nirs', content: 'json' }]),
  'ingest.patientSystems': json<string[]>([], { type: 'array', items: string }, 'Identifier systems under which a payload may name its patient.', ['https://hospital.example/mrn']),
  'ingest.ratePerGateway': json<RateSetting | null>(null, RATE, 'Most readings a gateway (client and subject of its token) may send over HTTP: so many a second, and a burst at once, which must hold a whole request (`ingest.recordsMax`); over it: 429 with `Retry-After`. A topic of `ingest.topics` is a gateway too: so many messages, and over it they wait there. `null`: no limit.',
    { perSecond: 5_000, burst: 100_000 }),
  'ingest.ratePerDevice': json<RateSetting | null>(null, RATE, 'The same of a device: over it the records of that device are not kept, those of the others are, and the answer is 429.',
    { perSecond: 500, burst: 10_000 }),
  'schemas.registry': text('built-in', '`built-in`, or the base URL of a registry that speaks Confluent\'s API: schema ids in readings are then its ids, and schemas are registered there.'),
  'schemas.username': text('', 'User (or API key) for an external schema registry; empty: none.'),
  'schemas.password': secret('Password (or API secret) of `schemas.username`.'),
  'schemas.token': secret('Bearer token for an external schema registry, instead of a user.'),
  'quarantine.itemsMax': whole(5_000_000, 1, 1_000_000_000, 'Most items kept in quarantine; when reached the door answers 429.'),
  'quarantine.bytesMax': whole(8 * 1024 ** 3, 1_024, 1024 ** 4, 'Most sealed bytes of the items kept in quarantine; when reached the door answers 429.'),
  'quarantine.retain': duration(30 * 86_400_000, 'How long a quarantined item is kept after it was seen last.'),
  'quarantine.retainWaiting': duration(180 * 86_400_000, 'How long an item that waits for an association is kept after it was seen last.'),

  'bus.kind': choice('embedded', ['embedded', 'kafka'], '`embedded` keeps readings on their way in PostgreSQL; `kafka` on the cluster that the settings `kafka.*` name. Chosen before the first start, as are the cluster and `kafka.topicPrefix`: another bus is refused.'),
  'bus.partitions': whole(8, 1, 1024, 'Partitions of each topic; fixed when the topic is made.'),
  'bus.backlogMax': whole(2_000_000, 1, 1_000_000_000, 'Most records appended and not yet consumed; when reached the door answers 429 with `Retry-After`.'),
  'bus.retain': duration(24 * 3_600_000, 'How long consumed readings stay on the bus. Raw records stay until the archive has them.'),

  'archive.store': choice('disk', ['disk', 's3'], '`disk` keeps the archive of original bytes in a folder of this machine; `s3` in the bucket that the settings `s3.*` name.'),
  'archive.folder': text('', 'With `archive.store` = `disk`: folder of the archive, on this machine; empty: `archive` below `dataDir`.'),
  'archive.sliceTime': duration(10 * 60_000, 'Raw records of a partition are gathered at most this long before they are written as one object.', { minimum: 1_000, maximum: 86_400_000 }),
  'archive.sliceBytes': whole(8 * 1024 * 1024, 1_024, 64 * 1024 * 1024, 'Raw records of a partition are written once they have so many bytes together, and before that when all partitions together hold 64 MiB.'),
  'archive.backlogMax': whole(20_000_000, 1, 10_000_000_000, 'Most raw records that wait for the archive; when reached the door answers 429.'),
  'archive.parquetQuiet': duration(3_600_000, 'The readings of a series of one UTC day are written as Parquet once the day has been over for this long, and again when they changed and then stayed the same for as long.', { minimum: 0, maximum: 7 * 86_400_000 }),

  'kafka.brokers': text('', 'Addresses of some brokers of the cluster, `host:port`, with commas between.'),
  'kafka.topicPrefix': text('', 'Before the name of each topic and consumer group of ours, for example `ward-7.`: several deployments then share a cluster.'),
  'kafka.replicationFactor': whole(3, 1, 32, 'Copies of each partition of a topic that Oxbow makes; from 3 on, two of them have a record before it is acknowledged.'),
  'kafka.tls': choice('off', ['off', 'on'], '`on` speaks TLS with the brokers. In production `off` is refused for brokers off loopback unless `kafka.allowPlain` is `yes`.'),
  'kafka.allowPlain': choice('no', ['no', 'yes'], '`yes` allows brokers off loopback without TLS in production, for example through an encrypted network.'),
  'kafka.caFile': text('', 'PEM file of the certificates that the brokers are verified by; empty: those of the platform.'),
  'kafka.certFile': text('', 'PEM file of our certificate, for brokers that ask for one (mutual TLS).'),
  'kafka.keyFile': text('', 'PEM file of the key of `kafka.certFile`.'),
  'kafka.sasl': choice('none', ['none', 'plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'], 'How Oxbow logs in to the brokers.'),
  'kafka.username': text('', 'User for `plain` and `scram-…`; client id for `oauthbearer`.'),
  'kafka.password': secret('Password for `plain` and `scram-…`; client secret for `oauthbearer`.'),
  'kafka.tokenUrl': text('', 'Where `oauthbearer` gets its tokens, by client credentials.'),
  'kafka.tokenScope': text('', 'Scope that `oauthbearer` asks for; empty: none.'),

  'stream.windowSize': duration(60_000, 'Size of the tumbling windows of a metric without an entry in `stream.windowSizes`.', WINDOW_SIZES),
  'stream.windowSizes': json<Record<string, number>>({}, { type: 'object', additionalProperties: { type: 'integer', ...WINDOW_SIZES } }, 'Window size in ms by metric of `mappings/models`, from 1,000 to 86,400,000.', { 'tissue-po2': 30_000 }),
  'stream.lateness': duration(30_000, 'A window closes when the newest event time of its series is this far past its end.'),
  'stream.silence': duration(60_000, 'A series silent for this long: its watermark goes on with the clock; late windows are gathered for the same time.'),
  'stream.deficits': json<DeficitThreshold[]>([], {
    type: 'array',
    items: {
      type: 'object',
      required: ['metric', 'threshold', 'unit', 'author', 'rationale'],
      additionalProperties: false,
      properties: { metric: string, threshold: { type: 'number', exclusiveMinimum: 0 }, unit: string, author: string, rationale: string, maxGapMs: { type: 'integer', minimum: 1 } }
    }
  }, 'Thresholds of the tissue oxygen deficit, each signed by an author with a rationale; none by default. `maxGapMs`: longer gaps are left out.',
  [{ metric: 'tissue-po2', threshold: 25, unit: 'mm[Hg]', author: 'Dr. A. Example', rationale: 'ward protocol 7', maxGapMs: 5_000 }]),
  'series.commitMaxRows': whole(10_000, 1, 1_000_000, 'Most readings in one commit of a series writer.'),
  'series.writers': whole(2, 1, 64, 'Series writers: each has its own partitions of the bus and one connection.'),

  'fhir.countDefault': whole(100, 1, 1_500, 'Entries of a search page when `_count` is not given.'),
  'fhir.countMax': whole(1_500, 1, 10_000, 'Most entries of a search page.'),
  'fhir.bundleEntriesMax': whole(1_000, 1, 100_000, 'Most entries of a transaction or batch Bundle; more: 413.'),
  'fhir.bodyMax': bytes(8 * 1024 * 1024, 'Largest FHIR request body; larger: 413.'),
  'egress.destinations': json<DestinationSetting[]>([], {
    type: 'array',
    items: {
      type: 'object',
      required: ['name', 'kind', 'to'],
      additionalProperties: false,
      properties: {
        name: { type: 'string', pattern: '^[a-z0-9-]{1,64}$' },
        kind: { enum: ['fhir', 'directory', 'kafka'] },
        to: string,
        tokenFile: string,
        patientSystem: string,
        bundleEntriesMax: { type: 'integer', minimum: 1, maximum: 1_000 }
      }
    }
  }, 'Where closed windows are sent: a FHIR base URL (transaction Bundles), a folder (made if missing; `bundles/` and `observations/` in it), or a topic of the receiver on the cluster of `kafka.brokers` (message Bundles; the topic must be there). A new destination gets everything from the beginning.',
  [
    { name: 'ehr', kind: 'fhir', to: 'https://ehr.example/fhir', tokenFile: '/etc/oxbow/ehr.token', patientSystem: 'https://hospital.example/mrn', bundleEntriesMax: 200 },
    { name: 'files', kind: 'directory', to: '/var/lib/oxbow/out' },
    { name: 'hub', kind: 'kafka', to: 'hospital.observations' }
  ]),

  'postgres.kind': choice('embedded', ['embedded', 'external'], '`embedded` runs PostgreSQL below `dataDir`; `external` uses the connection strings below.'),
  'postgres.busUrl': secret('Connection string of the server login on the bus database (external).'),
  'postgres.busOwnerUrl': secret('Connection string of the owner of the bus database, for migrations (external).'),
  'postgres.ingestUrl': secret('Connection string of the quarantine login on the bus database (external).'),
  'postgres.archiveUrl': secret('Connection string of the archive login on the bus database (external).'),
  'postgres.linkageUrl': secret('Connection string of the server login on the linkage database (external).'),
  'postgres.linkageOwnerUrl': secret('Connection string of the owner of the linkage database, for migrations (external).'),
  'postgres.deliveryUrl': secret('Connection string of the delivery login on the linkage database (external).'),
  'postgres.seriesUrl': secret('Connection string of the server login on the series database (external).'),
  'postgres.seriesOwnerUrl': secret('Connection string of the owner of the series database, for migrations (external).'),
  'postgres.auditUrl': secret('Connection string of the server login on the audit database (external).'),
  'postgres.auditOwnerUrl': secret('Connection string of the owner of the audit database, for migrations (external).'),
  'postgres.keysUrl': secret('Connection string of the server login on the keys database (external).'),
  'postgres.keysOwnerUrl': secret('Connection string of the owner of the keys database, for migrations (external).'),
  'keys.kind': choice('local', ['local', 'kms'], '`local` keeps the wrapping keys in the file `keys.file`; `kms` leaves them in AWS KMS, as the settings `kms.*` name them. Chosen before the first start: a deployment stays with it.'),
  'keys.allowLocal': choice('no', ['no', 'yes'], '`yes` allows the local key ring in production and off loopback.'),
  'keys.file': text('', 'File of the local key ring, mode 0600, outside the data directory; empty: `<dataDir>-keys.json` beside it. Losing it loses every sealed byte. The key of local tokens stands beside it, also with `kms`.'),
  'kms.keys': json<KeyIds>({}, {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(WRAPPING_KEYS.map(name => [name, { type: 'array', minItems: 1, maxItems: 1_000, items: string }]))
  }, 'Ids, ARNs or aliases of symmetric KMS keys for each of `linkage`, `archive`, `audit`, `quarantine`, `delivery`, `release`. The last one wraps; the others open what they wrapped, so a list only grows at its end, and an alias is never pointed to another key.',
  Object.fromEntries(WRAPPING_KEYS.map(name => [name, [`alias/oxbow-${name}`]]))),
  'kms.region': text('', 'Region of the keys; empty: as the AWS SDK finds it.'),
  'kms.endpoint': text('', 'Address of another key service that speaks the API of KMS; empty: that of AWS in the region.'),
  'kms.accessKeyId': text('', 'Access key for KMS; empty: credentials as the AWS SDK finds them (environment, shared files, role of the machine or container).'),
  'kms.secretAccessKey': secret('Secret of `kms.accessKeyId`.'),

  's3.bucket': text('', 'Bucket of the archive, for this deployment alone.'),
  's3.region': text('', 'Region of the bucket; empty: as the AWS SDK finds it.'),
  's3.endpoint': text('', 'Address of another store that speaks the API of S3; empty: that of AWS in the region.'),
  's3.pathStyle': choice('off', ['off', 'on'], '`on` names the bucket in the path instead of the host name, as most other stores want it.'),
  's3.accessKeyId': text('', 'Access key for S3; empty: credentials as the AWS SDK finds them (environment, shared files, role of the machine or container).'),
  's3.secretAccessKey': secret('Secret of `s3.accessKeyId`.'),
  's3.objectLock': choice('governance', ['off', 'governance', 'compliance'], 'Lock on each raw object: `governance` can be lifted by who has the right to, `compliance` by nobody before its time. `off` is for stores without locks; with the others a bucket without object lock is refused.'),
  's3.lockDays': whole(3_650, 1, 36_500, 'How many days the lock holds. Longer is safer; with `compliance` a number that is too large can never be taken back.'),

  'auth.issuers': json<ExternalIssuer[]>([], {
    type: 'array',
    items: {
      type: 'object',
      required: ['issuer', 'audience', 'algorithms'],
      additionalProperties: false,
      anyOf: [{ required: ['jwksUri'] }, { required: ['jwks'] }],
      properties: {
        issuer: string,
        audience: string,
        algorithms: { type: 'array', minItems: 1, items: { enum: ['ES256', 'ES384', 'RS256', 'RS384', 'PS256', 'PS384'] } },
        jwksUri: string,
        jwks: { type: 'object' },
        typ: { type: 'array', items: string },
        scopeClaim: string,
        patientClaim: string,
        fhirUserClaim: string,
        clientAllowList: { type: 'array', items: string }
      }
    }
  }, 'Identity providers whose access tokens are accepted beside the local ones; audience and algorithms have no default.',
  [{ issuer: 'https://idp.example', audience: 'https://oxbow.hospital.example/fhir', algorithms: ['RS256'], jwksUri: 'https://idp.example/jwks', clientAllowList: ['ehr'] }])
} satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS
type ValueOf<S> = S extends Setting<infer T> ? T : never

/** Frozen; durations in ms, sizes in bytes. */
export type Config = { readonly [K in SettingName]: ValueOf<(typeof SETTINGS)[K]> }

/** `http.port` → `OXBOW_HTTP_PORT`, `dataDir` → `OXBOW_DATA_DIR`. */
export function environmentName (name: string): string {
  return `OXBOW_${name.replace(/([a-z])([A-Z])/g, '$1_$2').replaceAll('.', '_').toUpperCase()}`
}
