-- How far topics that others write to have been read, and what of them went unread.

CREATE TABLE ingest.topic_offset (
  topic text NOT NULL,
  partition int NOT NULL,
  -- Of the next record to be read: everything below it is stored, in quarantine, or in `topic_lost`.
  next_offset bigint NOT NULL CHECK (next_offset >= 0),
  -- Counts the topics that had this name: one that was made anew counts its offsets from 0 again.
  generation int NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
);

-- Offsets that were no longer there, or of a topic that was made anew, when they were to be read.
CREATE TABLE ingest.topic_lost (
  topic text NOT NULL,
  partition int NOT NULL,
  from_offset bigint NOT NULL,
  -- Exclusive; where reading went on. Below `from_offset` when the topic is another one than it was.
  until_offset bigint NOT NULL,
  noticed_at timestamptz NOT NULL,
  PRIMARY KEY (topic, partition, from_offset, until_offset)
);

GRANT SELECT, INSERT, UPDATE ON ingest.topic_offset TO oxbow_ingest;
GRANT SELECT, INSERT ON ingest.topic_lost TO oxbow_ingest;
