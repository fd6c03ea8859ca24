-- Databases and roles of Oxbow on a PostgreSQL 17 of your own. Run once as an administrator, in any database:
--
--   psql --set=ON_ERROR_STOP=1 --file=external-postgres.sql "postgres://ADMINISTRATOR@HOST/postgres"
--
-- On PostgreSQL 15 and 16 leave  LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'  out of each line. TimescaleDB, where readings are to stand in a
-- hypertable, is made in oxbow_series before Oxbow's first start:  CREATE EXTENSION timescaledb;
--
-- Replace every change-me first. In production use a separate server for each store (bus, linkage, series, audit,
-- keys) with backups and administrators of its own, and run on each only the roles and the database of its store, and
-- the grants below. Tables are made by Oxbow itself when it starts, as the owner of each database.

-- bus: what came in and is not stored yet; quarantine; what stands in the archive
CREATE ROLE oxbow_bus_owner LOGIN PASSWORD 'change-me-1';
CREATE ROLE oxbow_bus LOGIN PASSWORD 'change-me-2';
CREATE ROLE oxbow_ingest LOGIN PASSWORD 'change-me-3';
CREATE ROLE oxbow_archive LOGIN PASSWORD 'change-me-14';
CREATE DATABASE oxbow_bus OWNER oxbow_bus_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';

-- linkage: who; delivery to receivers
CREATE ROLE oxbow_linkage_owner LOGIN PASSWORD 'change-me-4';
CREATE ROLE oxbow_linkage LOGIN PASSWORD 'change-me-5';
CREATE ROLE oxbow_delivery LOGIN PASSWORD 'change-me-6';
CREATE DATABASE oxbow_linkage OWNER oxbow_linkage_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';

-- series: what was measured
CREATE ROLE oxbow_series_owner LOGIN PASSWORD 'change-me-7';
CREATE ROLE oxbow_series LOGIN PASSWORD 'change-me-8';
CREATE ROLE oxbow_series_ro LOGIN PASSWORD 'change-me-9';
CREATE DATABASE oxbow_series OWNER oxbow_series_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';

-- audit
CREATE ROLE oxbow_audit_owner LOGIN PASSWORD 'change-me-10';
CREATE ROLE oxbow_audit LOGIN PASSWORD 'change-me-11';
CREATE DATABASE oxbow_audit OWNER oxbow_audit_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';

-- keys: wrapped data keys
CREATE ROLE oxbow_keys_owner LOGIN PASSWORD 'change-me-12';
CREATE ROLE oxbow_keys LOGIN PASSWORD 'change-me-13';
CREATE DATABASE oxbow_keys OWNER oxbow_keys_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';

-- Nobody connects but those who are named: PostgreSQL lets everybody in by default.
REVOKE ALL ON DATABASE oxbow_bus, oxbow_linkage, oxbow_series, oxbow_audit, oxbow_keys FROM PUBLIC;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE oxbow_bus TO oxbow_bus, oxbow_ingest;
GRANT CONNECT, TEMPORARY ON DATABASE oxbow_bus TO oxbow_archive;
GRANT CONNECT ON DATABASE oxbow_linkage TO oxbow_linkage, oxbow_delivery;
GRANT CONNECT, TEMPORARY ON DATABASE oxbow_series TO oxbow_series;
GRANT CONNECT ON DATABASE oxbow_series TO oxbow_series_ro;
GRANT CONNECT ON DATABASE oxbow_audit TO oxbow_audit;
GRANT CONNECT ON DATABASE oxbow_keys TO oxbow_keys;
