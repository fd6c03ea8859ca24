-- The places of repeats stand in the one book of places, with how many records their request had.

ALTER TABLE quarantine.book DROP CONSTRAINT book_state_check, ADD CONSTRAINT book_state_check CHECK (state IN ('released', 'resubmitted', 'discarded', 'repeated'));
INSERT INTO quarantine.book (source, kind, state, places) SELECT source, 'record', 'repeated', places FROM quarantine.repeat;
DROP TABLE quarantine.repeat;
