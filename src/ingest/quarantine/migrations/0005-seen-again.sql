-- The same bytes under the same reason are one item, seen again; a discard stays on record when its item's time is over.

ALTER TABLE quarantine.item
  -- HMAC of what was sent (`security/fingerprint.ts`): only who holds its key can tell what stands there. Null: settled, or older than this column.
  ADD COLUMN fingerprint bytea CHECK (octet_length(fingerprint) = 32),
  -- `arrived_at` is when it was seen first.
  ADD COLUMN times_seen int NOT NULL DEFAULT 1 CHECK (times_seen > 0),
  -- When it was seen last; null: once.
  ADD COLUMN seen_again_at timestamptz,
  -- Who discarded it: `os-user/NAME@HOST`, or `oxbow` for the server itself.
  ADD COLUMN settled_by text CHECK (length(settled_by) BETWEEN 1 AND 400);

UPDATE quarantine.item SET settled_by = CASE note WHEN 'expired' THEN 'oxbow' ELSE 'not recorded' END, note = coalesce(note, 'not recorded') WHERE state = 'discarded';
ALTER TABLE quarantine.item
  ADD CHECK (state <> 'discarded' OR (settled_by IS NOT NULL AND note IS NOT NULL)),
  ADD CHECK (state IN ('waiting', 'held') OR fingerprint IS NULL);

-- Not unique: a reason may become that of another item with the same bytes, and two processes may meet.
CREATE INDEX item_fingerprint ON quarantine.item (fingerprint) WHERE fingerprint IS NOT NULL;

-- Expiry counts from when an item was seen last.
DROP INDEX quarantine.item_open;
CREATE INDEX item_open ON quarantine.item ((coalesce(seen_again_at, arrived_at))) WHERE state IN ('waiting', 'held');

-- What is still to be taken from settled rows: the row itself, or from a discarded one what tells of its device.
DROP INDEX quarantine.item_settled;
CREATE INDEX item_settled ON quarantine.item (settled_at)
  WHERE settled_at IS NOT NULL AND (state <> 'discarded' OR device_index IS NOT NULL OR event_time IS NOT NULL OR sequence IS NOT NULL);

-- Places of a request that were counted on an item that stood already: with the items, every place of every request that was not accepted.
CREATE TABLE quarantine.repeat (
  -- As in `item.source`.
  source text PRIMARY KEY,
  places int4multirange NOT NULL,
  seen_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON quarantine.repeat TO oxbow_ingest;

-- Of `records` and `returned`: those that were counted on an item that stood already. `fields` has its own in them.
ALTER TABLE ingest.quarantined ADD COLUMN repeated bigint NOT NULL DEFAULT 0;
