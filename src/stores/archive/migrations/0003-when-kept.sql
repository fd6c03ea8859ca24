-- A proof beside a running server: only of requests that are as new as what is on the bus may something be missing.

-- When the row was written; null in rows from before. Of a repeat that is when its request came in; nothing else of it tells the time.
ALTER TABLE quarantine.book ADD COLUMN noted_at timestamptz;
ALTER TABLE quarantine.book ALTER COLUMN noted_at SET DEFAULT now();

GRANT SELECT (arrived_at, settled_at) ON quarantine.item TO oxbow_archive;
