-- A record of a topic that is read again after a crash is found by where it came from.
CREATE INDEX item_topic_source ON quarantine.item (source) WHERE starts_with(source, 'kafka/') OR starts_with(source, 'bus/');
