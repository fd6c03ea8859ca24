-- Parquet files of whole days, made of what the series store holds: one row per version, kept when its object is gone. By the number of the series: no sid.

CREATE TABLE archive.parquet (
  -- Reserved before the object is written, so that no object is left that nobody knows of.
  name text COLLATE "C" PRIMARY KEY,
  series int NOT NULL,
  -- UTC.
  day date NOT NULL,
  -- Which readings of the day: rises when retention drops them from the series store, so that what comes afterwards supersedes nothing.
  life bigint NOT NULL,
  version int NOT NULL CHECK (version > 0),
  -- Number of the change in the series store whose state the file holds.
  change bigint NOT NULL,
  pipeline_version text NOT NULL,
  key_id text NOT NULL,
  reserved_at timestamptz NOT NULL,
  written_at timestamptz,
  rows bigint CHECK (rows > 0),
  -- Of the object as it is stored.
  bytes bigint,
  sha256 bytea CHECK (octet_length(sha256) = 32),
  superseded_at timestamptz,
  -- When the object was removed: it was superseded, or never finished.
  removed_at timestamptz,
  UNIQUE (series, day, version),
  CHECK (num_nulls(written_at, rows, bytes, sha256) IN (0, 4))
);
CREATE UNIQUE INDEX parquet_current ON archive.parquet (series, day, life) WHERE written_at IS NOT NULL AND superseded_at IS NULL;
CREATE INDEX parquet_unneeded ON archive.parquet (reserved_at) WHERE removed_at IS NULL AND (written_at IS NULL OR superseded_at IS NOT NULL);

GRANT SELECT, INSERT ON archive.parquet TO oxbow_archive;
GRANT UPDATE (written_at, rows, bytes, sha256, superseded_at, removed_at) ON archive.parquet TO oxbow_archive;
