-- Wrapped data keys: nothing here opens anything without the wrapping keys, which never stand in a database.
CREATE SCHEMA keys;

CREATE TABLE keys.wrapped_key (
  id             uuid PRIMARY KEY,
  kek            text NOT NULL,
  -- SHA-256 of the canonical context. It outlives the key, so that the context of a destroyed key stays refused.
  context_digest bytea NOT NULL CHECK (octet_length(context_digest) = 32),
  -- The canonical context itself, needed to wrap the key again under a newer version of its kek.
  context        text,
  -- True: the one key of its context. False: a further one, found by id only.
  by_context     boolean NOT NULL,
  -- 0x01, version of the kek (uint32, big endian), iv[12], AES-256-GCM(data key), tag[16]
  wrapped        bytea CHECK (octet_length(wrapped) > 5),
  made_at        timestamptz NOT NULL DEFAULT now(),
  destroyed_at   timestamptz,
  reason         text,
  CHECK (num_nulls(wrapped, context) IN (0, 2)),
  CHECK ((destroyed_at IS NULL) = (wrapped IS NOT NULL)),
  CHECK ((destroyed_at IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX wrapped_key_context ON keys.wrapped_key (kek, context_digest) WHERE by_context;

GRANT USAGE ON SCHEMA keys TO oxbow_keys;
GRANT SELECT, INSERT, UPDATE (wrapped, context, destroyed_at, reason) ON keys.wrapped_key TO oxbow_keys;

-- Destroying a key rewrites the table, so that the old wrapped bytes leave its file too. Before PostgreSQL 17 only the owner may do
-- that, and the bytes stay until the next VACUUM FULL by an administrator (docs/decisions/0002-key-ring-dek-by-context.md).
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 170000 THEN
    EXECUTE 'GRANT MAINTAIN ON keys.wrapped_key TO oxbow_keys';
  END IF;
END
$$;
