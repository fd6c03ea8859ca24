-- The schema id that the bytes of a body name which could not be read: beside `schema_id`, by which it would be read as bare records. Null: they name none, or the item is older than this column.
ALTER TABLE quarantine.item ADD COLUMN named_schema bigint CHECK (named_schema BETWEEN 0 AND 4294967295);
