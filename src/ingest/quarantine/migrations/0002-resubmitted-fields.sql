-- Fields that were re-submitted: the series store counts each of them as a repetition of its reading, so they are taken off there.
ALTER TABLE ingest.quarantined ADD COLUMN fields_resubmitted bigint NOT NULL DEFAULT 0;
