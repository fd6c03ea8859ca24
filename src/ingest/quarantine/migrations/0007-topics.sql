-- Messages of topics: in Confluent's wire format the schema alone says what they are.
ALTER TABLE quarantine.item DROP CONSTRAINT item_content_check;
ALTER TABLE quarantine.item ADD CONSTRAINT item_content_check CHECK (content IN ('json', 'ndjson', 'avro', 'protobuf', 'protobuf-delimited', 'confluent'));

-- A record of a topic that is read again after a crash is found by where it came from.
CREATE INDEX item_topic_source ON quarantine.item (source) WHERE starts_with(source, 'kafka/') OR starts_with(source, 'bus/');
