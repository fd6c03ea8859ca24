-- What tells this bus from another one with the same topics: places on it mean nothing on any other.
CREATE TABLE bus.identity (id uuid NOT NULL DEFAULT gen_random_uuid(), one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO bus.identity DEFAULT VALUES;
GRANT SELECT ON bus.identity TO oxbow_bus;
