-- A commit goes on exactly where the last one of its partition ended. Of two processes that hold the same partition, for as long as neither
-- knows of the other, one then writes and the other learns of it, also where all of its rows are stored already.

drop function series.resume_at (text[], int[], bigint[]);

create function series.resume_at (topics text[], partitions int[], firsts bigint[], nexts bigint[]) returns void language plpgsql as $$
declare
  moved int;
  made int := 0;
begin
  update series.resume_point p set next_offset = u.next
    from unnest(topics, partitions, firsts, nexts) u (topic, partition, first, next)
   where p.topic = u.topic and p.partition = u.partition and p.next_offset = u.first;
  get diagnostics moved = row_count;
  if moved < cardinality(topics) then
    insert into series.resume_point (topic, partition, next_offset)
    select u.topic, u.partition, u.next from unnest(topics, partitions, firsts, nexts) u (topic, partition, first, next) where u.first = 0
        on conflict do nothing;
    get diagnostics made = row_count;
  end if;
  if moved + made < cardinality(topics) then
    raise exception 'another writer went on in this partition' using errcode = 'OX001';
  end if;
end $$;
revoke all on function series.resume_at (text[], int[], bigint[], bigint[]) from public;
grant execute on function series.resume_at (text[], int[], bigint[], bigint[]) to oxbow_series;
