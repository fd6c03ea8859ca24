-- Bodies and records of Protobuf; `protobuf-delimited`: many messages, each behind its length.
ALTER TABLE quarantine.item DROP CONSTRAINT item_content_check;
ALTER TABLE quarantine.item ADD CONSTRAINT item_content_check CHECK (content IN ('json', 'ndjson', 'avro', 'protobuf', 'protobuf-delimited'));
