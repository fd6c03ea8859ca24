-- Schemas taken from an external registry: under which id it has them, and in which subjects. They stand in registry.schema with an id of ours, so
-- that what is kept can be read when that registry is gone.
CREATE TABLE registry.foreign_schema (
  -- Its address.
  registry text NOT NULL,
  foreign_id int NOT NULL CHECK (foreign_id > 0),
  -- '' with version 0: it did not say.
  subject text NOT NULL,
  version int NOT NULL,
  schema_id int NOT NULL REFERENCES registry.schema,
  taken_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (registry, foreign_id, subject, version)
);
CREATE INDEX foreign_schema_subject ON registry.foreign_schema (registry, subject, version);
GRANT SELECT, INSERT ON registry.foreign_schema TO oxbow_ingest;
