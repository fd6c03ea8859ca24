-- What a search sees of the versions that became old while it ran, and the order of its pages: without it each search reads all of a type.
create index resource_by_time on fhir.resource (type, last_updated, (id::text));
