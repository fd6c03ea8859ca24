-- The built-in schema registry: device schemas that are registered, under which subjects and versions, and how strictly each subject evolves.
-- A schema that readings refer to never changes and never goes: the server may only add.

CREATE SCHEMA registry;
GRANT USAGE ON SCHEMA registry TO oxbow_ingest;

-- 1 to 100 are the product's own.
CREATE SEQUENCE registry.schema_id AS int MINVALUE 101;
GRANT USAGE ON SEQUENCE registry.schema_id TO oxbow_ingest;

CREATE TABLE registry.schema (
  id int PRIMARY KEY CHECK (id > 0),
  type text NOT NULL CHECK (type IN ('AVRO', 'PROTOBUF', 'JSON')),
  text text NOT NULL,
  -- SHA-256 of type, line feed and text: the same schema has one id, however many subjects it stands in.
  digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  -- Of Avro: hex SHA-256 of the Parsing Canonical Form, by which container files name it.
  form text CHECK (form ~ '^[0-9a-f]{64}$'),
  registered_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schema_form ON registry.schema (form, id) WHERE form IS NOT NULL;

CREATE TABLE registry.version (
  subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
  version int NOT NULL CHECK (version > 0),
  schema_id int NOT NULL REFERENCES registry.schema,
  registered_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subject, version),
  UNIQUE (subject, schema_id)
);
CREATE INDEX version_schema ON registry.version (schema_id);

-- The empty subject stands for all that have no row of their own.
CREATE TABLE registry.config (
  subject text PRIMARY KEY,
  compatibility text NOT NULL CHECK (compatibility IN ('BACKWARD', 'BACKWARD_TRANSITIVE', 'FORWARD', 'FORWARD_TRANSITIVE', 'FULL', 'FULL_TRANSITIVE'))
);

GRANT SELECT, INSERT ON registry.schema, registry.version TO oxbow_ingest;
GRANT SELECT, INSERT, UPDATE ON registry.config TO oxbow_ingest;

INSERT INTO registry.schema (id, type, text, digest, form) VALUES
  (1, 'AVRO', '{"type":"record","name":"TissueOxygen","fields":[{"name":"deviceId","type":"string"},{"name":"patientId","type":["null","string"],"default":null},{"name":"timestamp_utc","type":"long","doc":"ms since 1970-01-01T00:00Z"},{"name":"spo2","type":"double","doc":"percent"},{"name":"local_tissue_o2","type":"double","doc":"unit of the device model"},{"name":"battery_mv","type":"int"},{"name":"firmware_version","type":"string"},{"name":"signal_quality","type":"int","doc":"percent"}]}',
   '\x403d6ce152f0aa7f6ef7cd29135f7c5b8c7c0198d749384ddfb307674f1c9023', '1a490470b294e742ea8f8829be4c5ff9828b243abb472abc76ab08329ffe53d3'),
  (2, 'AVRO', '{"type":"record","name":"TissueOxygen","fields":[{"name":"deviceId","type":"string"},{"name":"patientId","type":["null","string"],"default":null},{"name":"timestamp_utc","type":"long","doc":"ms since 1970-01-01T00:00Z"},{"name":"sequence","type":["null","long"],"default":null},{"name":"channels","type":{"type":"array","items":{"type":"record","name":"Channel","fields":[{"name":"metric","type":"string"},{"name":"kind","type":"string"},{"name":"unit","type":"string","doc":"UCUM"},{"name":"value","type":"double"}]}}},{"name":"battery_mv","type":["null","int"],"default":null},{"name":"firmware_version","type":["null","string"],"default":null},{"name":"signal_quality","type":["null","int"],"default":null,"doc":"percent"}]}',
   '\x0208896f107aca28713f0b0bacc04f78e5172353dde3f9408c314cb68aa5b627', '871d1ebd13acf499d1c42adb7a2eafae748d7bfe1df398b766d0c4c02219982e');
INSERT INTO registry.version (subject, version, schema_id) VALUES ('TissueOxygen', 1, 1), ('TissueOxygen', 2, 2);
INSERT INTO registry.config (subject, compatibility) VALUES ('', 'BACKWARD');
