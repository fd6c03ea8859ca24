-- An association entered in error keeps its name `<device>/<start>`, and the right one may begin at the same time. That no two of a device
-- hold at once is kept by linkage.sid_map; only devices and their metrics are found by a name that means one resource.
drop index fhir.identifier_of_ours;
create unique index identifier_of_ours on fhir.identifier (system, value) where system in (
  'https://oxbow-fhir.github.io/ig/identifier/telemetry-device',
  'https://oxbow-fhir.github.io/ig/identifier/device-metric');
