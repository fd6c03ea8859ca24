-- Who wears what, and when: FHIR resources as they are, the sid map beside them (privacy.md section 4.2).

create schema fhir;
create schema linkage;

-- FHIR logical id (R4 datatype id).
create domain fhir.id as text check (value ~ '^[A-Za-z0-9.-]{1,64}$');

-- The current version of each resource. `content` is json, not jsonb: the text is kept as it was written.
create table fhir.resource (
  type text not null,
  id fhir.id not null,
  version integer not null check (version > 0),
  last_updated timestamptz not null,
  deleted boolean not null default false,
  content json not null,
  primary key (type, id)
);

-- Every version, the current one included; append only (no update or delete is granted).
create table fhir.history (
  type text not null,
  id fhir.id not null,
  version integer not null check (version > 0),
  last_updated timestamptz not null,
  deleted boolean not null default false,
  content json not null,
  primary key (type, id, version)
);

-- Business identifiers of the current versions; system '' is an identifier without a system.
create table fhir.identifier (
  type text not null,
  id fhir.id not null,
  system text not null,
  value text not null,
  primary key (type, id, system, value),
  foreign key (type, id) references fhir.resource
);
create index identifier_by_value on fhir.identifier (type, value, system);
-- Names of ours (fhir-modelling.md section 4) mean one resource.
create unique index identifier_of_ours on fhir.identifier (system, value) where system in (
  'https://oxbow-fhir.github.io/ig/identifier/telemetry-device',
  'https://oxbow-fhir.github.io/ig/identifier/device-metric',
  'https://oxbow-fhir.github.io/ig/identifier/device-association');

-- References of the current versions from one resource here to another, by element name.
create table fhir.reference (
  type text not null,
  id fhir.id not null,
  element text not null,
  target_type text not null,
  target_id fhir.id not null,
  primary key (type, id, element, target_type, target_id),
  foreign key (type, id) references fhir.resource
);
create index reference_by_target on fhir.reference (target_type, target_id, type, element);

-- privacy.md section 4.1: prefix, 128 bits in 26 symbols, a check symbol (number mod 37, below 32).
create function linkage.is_pseudonym (prefix text, name text) returns boolean language plpgsql immutable strict parallel safe as $$
declare
  alphabet constant text := '0123456789abcdefghjkmnpqrstvwxyz';
  remainder integer := 0;
begin
  if name !~ ('^' || prefix || '[0-7][0-9a-hjkmnp-tv-z]{26}$') then return false; end if;
  for place in 3..28 loop
    remainder := (remainder * 32 + strpos(alphabet, substr(name, place, 1)) - 1) % 37;
  end loop;
  return remainder < 32 and substr(alphabet, remainder + 1, 1) = substr(name, 29, 1);
end $$;

create table linkage.subject (
  patient fhir.id primary key,
  subj text not null unique check (linkage.is_pseudonym('j1', subj)),
  state text not null default 'active'
);

create table linkage.blind_index (
  ver smallint,
  bi bytea check (octet_length(bi) = 32),
  device fhir.id not null,
  primary key (ver, bi)
);
create index blind_index_by_device on linkage.blind_index (device);

-- Deferrable: a transaction may give a device on before it takes it back.
create table linkage.sid_map (
  sid text primary key check (linkage.is_pseudonym('s1', sid)),
  device fhir.id not null,
  subj text not null,
  association fhir.id not null unique,
  valid tstzrange not null check (isempty(valid) or (lower_inc(valid) and not upper_inc(valid))),
  constraint sid_map_no_overlap exclude using gist (device with =, valid with &&) deferrable initially deferred
);
create index sid_map_by_device on linkage.sid_map (device);
create index sid_map_by_subject on linkage.sid_map (subj);

-- The series store knows a firmware by its number only: the text comes from a device.
create table linkage.firmware (
  number integer generated always as identity primary key,
  version text not null unique check (version <> '')
);

-- Recorded calibrations, append only; in force at t is the highest number whose `effective` covers t.
create table linkage.calibration (
  number bigint generated always as identity primary key,
  metric_id fhir.id not null,
  metric_version integer not null,
  device fhir.id not null,
  metric text not null,
  version text not null,
  kind text not null check (kind in ('offset', 'gain', 'polynomial', 'stern-volmer')),
  coefficients jsonb not null,
  effective tstzrange not null check (not isempty(effective)),
  state text not null check (state in ('calibrated', 'not-calibrated', 'calibration-required', 'unspecified')),
  -- The extension as first written, in canonical JSON: a later version must hold the same.
  record text not null,
  recorded_at timestamptz not null,
  unique (metric_id, version)
);
create index calibration_by_device on linkage.calibration (device);

-- Time that an association lost: its rows go to `target`, or back to quarantine when that is null. Run in order of id per device.
create table linkage.relabel_job (
  id bigint generated always as identity primary key,
  device fhir.id not null,
  sid text not null,
  span tstzrange not null check (not isempty(span)),
  target text,
  state text not null default 'open' check (state in ('open', 'done')),
  progress jsonb not null default '{}',
  recorded_at timestamptz not null,
  done_at timestamptz
);
create index relabel_job_open on linkage.relabel_job (device, id) where state = 'open';

-- Calibrations with effect in the past: the windows of these sids and this metric that touch `span` are computed again.
create table linkage.recalibration_job (
  id bigint generated always as identity primary key,
  calibration bigint not null references linkage.calibration,
  sids text[] not null,
  metric text not null,
  span tstzrange not null check (not isempty(span)),
  state text not null default 'open' check (state in ('open', 'done')),
  progress jsonb not null default '{}',
  recorded_at timestamptz not null,
  done_at timestamptz
);
create index recalibration_job_open on linkage.recalibration_job (id) where state = 'open';

grant usage on schema fhir, linkage to oxbow_linkage;
grant select, insert, update on fhir.resource to oxbow_linkage;
grant select, insert on fhir.history to oxbow_linkage;
grant select, insert, delete on fhir.identifier, fhir.reference to oxbow_linkage;
grant select, insert on linkage.subject, linkage.firmware, linkage.calibration to oxbow_linkage;
grant select, insert, delete on linkage.blind_index to oxbow_linkage;
grant select, insert on linkage.sid_map to oxbow_linkage;
grant update (valid) on linkage.sid_map to oxbow_linkage;
grant select, insert on linkage.relabel_job, linkage.recalibration_job to oxbow_linkage;
grant update (state, progress, done_at) on linkage.relabel_job, linkage.recalibration_job to oxbow_linkage;
