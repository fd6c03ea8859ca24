"""What a vendor's Python does with Confluent's producer and fastavro: Avro records in the Confluent wire format, one topic, one codec.

Called with broker, topic, codec, schema file, schema id and a file of records as JSON lines; prints one JSON object.
"""

import io
import json
import struct
import sys

import fastavro
from confluent_kafka import Producer

broker, topic, codec, schema_file, schema_id, records_file = sys.argv[1:7]
with open(schema_file, encoding="utf-8") as file:
    schema = fastavro.parse_schema(json.load(file))
producer = Producer({"bootstrap.servers": broker, "acks": "all", "compression.type": codec, "linger.ms": 20, "enable.idempotence": True})
failed = []


def framed(record):
    out = io.BytesIO()
    out.write(struct.pack(">bI", 0, int(schema_id)))
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue()


sent = 0
with open(records_file, encoding="utf-8") as file:
    for line in file:
        record = json.loads(line)
        producer.produce(topic, key=record["deviceId"], value=framed(record), on_delivery=lambda error, _message: failed.append(str(error)) if error else None)
        producer.poll(0)
        sent += 1
producer.flush(60)
print(json.dumps({"sent": sent, "failed": failed}))
