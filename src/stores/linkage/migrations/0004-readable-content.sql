-- `content` is json, so that a version is given back byte for byte; what json takes and jsonb does not (half a surrogate pair, U+0000) fails
-- every statement that looks into it, also one about many rows. Versions from before stay as they are.
alter table fhir.resource add constraint resource_readable check (content::jsonb is not null) not valid;
alter table fhir.history add constraint history_readable check (content::jsonb is not null) not valid;
