-- Where each arrival came from and what became of it stays on record when its item is removed: that nothing is missing can be proved for good.

-- How many records the request had in all; null of items from before there was a book, and of readings that the series store gave back.
ALTER TABLE quarantine.item ADD COLUMN request_records int;

-- Of items that were removed: the places of their request, by what they were and what became of them.
CREATE TABLE quarantine.book (
  source text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('record', 'body')),
  state text NOT NULL CHECK (state IN ('released', 'resubmitted', 'discarded')),
  request_records int,
  places int4multirange NOT NULL,
  PRIMARY KEY (source, kind, state)
);
GRANT SELECT, INSERT, UPDATE ON quarantine.book TO oxbow_ingest;

-- How many had been removed before.
CREATE TABLE quarantine.unbooked (records bigint NOT NULL);
INSERT INTO quarantine.unbooked SELECT
  (SELECT coalesce(sum(records), 0) FROM ingest.quarantined) - (SELECT count(*) FROM quarantine.item WHERE kind <> 'field' AND NOT starts_with(source, 'series/'));
