-- What came in and was not stored, sealed, with its reason (privacy.md §2, store Q); and what came in, counted by hour of arrival (law 4).

CREATE SCHEMA quarantine;
CREATE SCHEMA ingest;
GRANT USAGE ON SCHEMA quarantine, ingest TO oxbow_ingest;

CREATE TABLE quarantine.item (
  -- Order of arrival.
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id uuid NOT NULL UNIQUE,
  -- A record; one field of a record that was stored without it; a body in which nothing could be read.
  kind text NOT NULL CHECK (kind IN ('record', 'field', 'body')),
  -- waiting: released by itself. held: by a person. The other three are final and hold no bytes.
  state text NOT NULL CHECK (state IN ('waiting', 'held', 'released', 'resubmitted', 'discarded')),
  reason text NOT NULL CHECK (reason ~ '^[a-z-]{1,40}$'),
  -- A name of our schema, never text from a device.
  field text CHECK (field ~ '^[a-zA-Z_0-9]{1,32}(\[[0-9]{1,4}\])?$'),
  -- 0: not known.
  schema_id int NOT NULL,
  content text NOT NULL CHECK (content IN ('json', 'ndjson', 'avro')),
  -- Of a body that could not be decompressed.
  encoding text NOT NULL CHECK (encoding IN ('', 'gzip', 'zstd')),
  -- Inlet and number of the request, and the record's place in its body.
  source text NOT NULL,
  place int NOT NULL,
  -- Blind index of the device (privacy.md §4.3) and the version of its key; null when no device could be read.
  index_version smallint,
  device_index bytea CHECK (octet_length(device_index) = 32),
  -- ms since 1970; null when it could not be read. Not a timestamp: what a device sends may lie outside its range.
  event_time bigint,
  sequence bigint,
  arrived_at timestamptz NOT NULL,
  -- The key is that of the UTC day of arrival; the bytes are bound to `id`.
  sealed bytea,
  sealed_length int NOT NULL,
  rule_version smallint NOT NULL,
  attempts int NOT NULL DEFAULT 0,
  tried_at timestamptz,
  settled_at timestamptz,
  -- Why it was discarded; written by a person or by the expiry.
  note text,
  CHECK ((index_version IS NULL) = (device_index IS NULL)),
  CHECK ((state IN ('waiting', 'held')) = (sealed IS NOT NULL)),
  CHECK ((state IN ('waiting', 'held')) = (settled_at IS NULL))
);
-- Sealed bytes do not compress.
ALTER TABLE quarantine.item ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Release asks for a device's waiting items in order of their event.
CREATE INDEX item_waiting ON quarantine.item (device_index, index_version, event_time, sequence, number) WHERE state = 'waiting';
CREATE INDEX item_open ON quarantine.item (arrived_at) WHERE state IN ('waiting', 'held');
CREATE INDEX item_settled ON quarantine.item (settled_at) WHERE settled_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON quarantine.item TO oxbow_ingest;

-- Readings acknowledged at the door. Written soon after the append, so a crash may lose the last of them (`counters.ts`).
CREATE TABLE ingest.arrival (
  hour timestamptz PRIMARY KEY,
  accepted bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- By hour of arrival and device; version 0 and an empty index: no device could be read. Written in the transaction that changes the items.
CREATE TABLE ingest.quarantined (
  hour timestamptz NOT NULL,
  index_version smallint NOT NULL,
  device_index bytea NOT NULL,
  -- Records (and unreadable bodies) from the door.
  records bigint NOT NULL DEFAULT 0,
  -- Fields of records that were stored without them: they take no part in the sum.
  fields bigint NOT NULL DEFAULT 0,
  -- Readings that came back from the series store because no association covers them any more.
  returned bigint NOT NULL DEFAULT 0,
  -- What became of records and returned readings. `resubmitted`: bodies whose records came in anew.
  released bigint NOT NULL DEFAULT 0,
  resubmitted bigint NOT NULL DEFAULT 0,
  discarded bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (hour, index_version, device_index)
) WITH (fillfactor = 50);

CREATE TABLE ingest.refused (
  hour timestamptz NOT NULL,
  status smallint NOT NULL,
  requests bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (hour, status)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON ingest.arrival, ingest.quarantined, ingest.refused TO oxbow_ingest;
