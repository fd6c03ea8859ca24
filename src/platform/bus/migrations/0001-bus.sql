-- The embedded bus: topics, their partitions, and one row of records per partition and group commit.

CREATE SCHEMA bus;
GRANT USAGE ON SCHEMA bus TO oxbow_bus;

CREATE TABLE bus.topic (
  topic_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL UNIQUE,
  -- Fixed when the topic is made: the partition of a key must never change.
  partitions int NOT NULL CHECK (partitions BETWEEN 1 AND 1024)
);

-- One small row per partition, updated by every append: free space on the page keeps the updates off the index.
CREATE TABLE bus.partition (
  topic_id int NOT NULL REFERENCES bus.topic,
  partition int NOT NULL CHECK (partition >= 0),
  next_offset bigint NOT NULL DEFAULT 0,
  released_offset bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE bus.batch (
  topic_id int NOT NULL,
  partition int NOT NULL,
  first_offset bigint NOT NULL,
  record_count int NOT NULL CHECK (record_count > 0),
  appended_at timestamptz NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (topic_id, partition, first_offset)
);
-- Records are packed or sealed already: trying to compress them costs more than it saves.
ALTER TABLE bus.batch ALTER COLUMN bytes SET STORAGE EXTERNAL;

GRANT SELECT, INSERT ON bus.topic TO oxbow_bus;
GRANT SELECT, INSERT, UPDATE ON bus.partition TO oxbow_bus;
GRANT SELECT, INSERT, DELETE ON bus.batch TO oxbow_bus;
