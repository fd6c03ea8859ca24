-- Who reads a partition now. A process that was paused, or cut off from the group, may still believe that it does: whatever it writes then, also what only the
-- clock made it write, comes from a memory that others have gone on without.
create table series.owner (topic text, partition smallint, token uuid not null, primary key (topic, partition)) with (fillfactor = 50);
grant select, insert, update on series.owner to oxbow_series;
grant select on series.owner to oxbow_series_ro;

-- The token with which these partitions are read from now on: the one given, if all of them are still read with it. Waits for the commits of whoever had them.
create function series.own (topic_in text, partitions int[], token_in uuid) returns uuid language plpgsql as $$
declare
  fresh uuid := gen_random_uuid();
begin
  if (select count(*) from series.owner where topic = topic_in and partition = any(partitions) and token = token_in) = cardinality(partitions) then return token_in; end if;
  insert into series.owner (topic, partition, token) select topic_in, p, fresh from unnest(partitions) p order by p
      on conflict (topic, partition) do update set token = excluded.token;
  return fresh;
end $$;

-- Held until the commit ends.
create function series.assert_owner (topic_in text, partitions int[], token_in uuid) returns void language plpgsql as $$
declare
  held int;
begin
  perform from series.owner where topic = topic_in and partition = any(partitions) and token = token_in order by partition for share;
  get diagnostics held = row_count;
  if held < cardinality(partitions) then raise exception 'another process reads these partitions now' using errcode = 'OX001'; end if;
end $$;

revoke all on function series.own (text, int[], uuid), series.assert_owner (text, int[], uuid) from public;
grant execute on function series.own (text, int[], uuid), series.assert_owner (text, int[], uuid) to oxbow_series;
