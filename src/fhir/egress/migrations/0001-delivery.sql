-- How far each destination has what the ledger holds. Runs in the linkage database; the login of the sender sees this schema only.

create schema delivery;

-- Last ledger number of a writer that is settled: delivered, skipped or dead.
create table delivery.cursor (
  destination text,
  writer smallint,
  number bigint not null,
  primary key (destination, writer)
);

-- Rows behind the cursor that may have reached the destination without its answer reaching us, and how they were cut.
create table delivery.sending (
  destination text,
  writer smallint,
  last bigint not null,
  entries_max int not null,
  started_at timestamptz not null,
  primary key (destination, writer)
);

-- Newest revision of an Observation that the destination has, and its id there.
create table delivery.delivered (
  destination text,
  id uuid,
  revision int not null,
  receiver_id text,
  delivered_at timestamptz not null,
  primary key (destination, id)
);

-- Ledger rows that had nobody to be sent for.
create table delivery.skipped (
  destination text,
  writer smallint,
  number bigint,
  reason text not null,
  skipped_at timestamptz not null,
  primary key (destination, writer, number)
);

-- What the destination refused for good. `reason`: a code of ours, then the issue codes of the answer; never its text.
create table delivery.dead_letter (
  number_in_list bigint generated always as identity primary key,
  destination text not null,
  writer smallint not null,
  number bigint not null,
  part int not null,
  ids uuid[] not null,
  revision int not null,
  reason text not null,
  http_status int,
  refused_at timestamptz not null,
  unique (destination, writer, number, part)
);

grant usage on schema delivery to oxbow_delivery;
grant select, insert, update on delivery.cursor, delivery.delivered to oxbow_delivery;
grant select, insert, update, delete on delivery.sending to oxbow_delivery;
grant select, insert on delivery.skipped, delivery.dead_letter to oxbow_delivery;
