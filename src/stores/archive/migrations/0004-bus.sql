-- The bus whose offsets stand here, as `platform/bus/bus-identity.ts` names it; written at the first start.
CREATE TABLE archive.bus (identity text NOT NULL, one boolean PRIMARY KEY DEFAULT true CHECK (one));
GRANT SELECT, INSERT ON archive.bus TO oxbow_archive;
