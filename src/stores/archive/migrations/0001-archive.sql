-- What stands in the archive: one row per object, in the order of the offsets of `oxbow.raw.v1`, each naming the digest of the one before.

CREATE SCHEMA archive;
GRANT USAGE ON SCHEMA archive TO oxbow_archive;

-- How far each partition is archived. Whoever writes the next object must find the row as it knew it.
CREATE TABLE archive.partition (
  partition int PRIMARY KEY CHECK (partition >= 0),
  next_offset bigint NOT NULL DEFAULT 0,
  -- SHA-256 of the last manifest; zeros before the first.
  head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(head) = 32)
);

-- Reserved before its object is written: a name that nobody knows of is never written.
CREATE TABLE archive.object (
  partition int NOT NULL REFERENCES archive.partition,
  first_offset bigint NOT NULL,
  next_offset bigint NOT NULL CHECK (next_offset > first_offset),
  name text COLLATE "C" NOT NULL UNIQUE,
  -- Null while the object is being written. Text, not json: its digest is of these bytes.
  manifest text,
  -- When the first and the last of its records came in, as the manifest says.
  received_from timestamptz,
  received_to timestamptz,
  PRIMARY KEY (partition, first_offset),
  CHECK ((manifest IS NULL) = (received_from IS NULL)),
  CHECK ((manifest IS NULL) = (received_to IS NULL))
);

-- A manifest is written once.
CREATE FUNCTION archive.keep_manifest () RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'a manifest of the archive is not changed';
END $$;
CREATE TRIGGER keep_manifest BEFORE UPDATE ON archive.object FOR EACH ROW WHEN (OLD.manifest IS NOT NULL) EXECUTE FUNCTION archive.keep_manifest();

GRANT SELECT, INSERT ON archive.partition, archive.object TO oxbow_archive;
GRANT UPDATE (next_offset, head) ON archive.partition TO oxbow_archive;
GRANT UPDATE (manifest, received_from, received_to) ON archive.object TO oxbow_archive;

-- To prove that nothing is missing: where what is not archived came from and what became of it; no device, no bytes.
GRANT USAGE ON SCHEMA quarantine, ingest TO oxbow_archive;
GRANT SELECT (kind, state, source, place, request_records) ON quarantine.item TO oxbow_archive;
GRANT SELECT ON quarantine.book, quarantine.unbooked TO oxbow_archive;
GRANT SELECT (records) ON ingest.quarantined TO oxbow_archive;
