-- A message below the offset of its topic was taken in whole: its places are archived, kept, or missing.
GRANT SELECT (topic, partition, next_offset, generation) ON ingest.topic_offset TO oxbow_archive;
