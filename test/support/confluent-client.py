"""What a device maker's Python does with Confluent's own client: registers, looks up, asks, configures, and writes one message of each format.

Called with the base URL of the registry and a bearer token; prints one JSON object.
"""

import base64
import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

url, token, taken_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = SchemaRegistryClient({
    "url": url,
    "bearer.auth.credentials.source": "STATIC_TOKEN",
    "bearer.auth.token": token,
    "bearer.auth.logical.cluster": "none",
    "bearer.auth.identity.pool.id": "none",
})

CHANNEL = {"metric": "tissue-po2", "kind": "tissue-po2", "unit": "mm[Hg]"}


def avro_schema(unit="mm[Hg]", more=()):
    po2 = {"name": "po2", "type": "double", "oxbow.metric": "tissue-po2", "oxbow.kind": "tissue-po2", "oxbow.unit": unit}
    fields = [{"name": "serial", "type": "string", "oxbow.field": "deviceId"}, {"name": "timestamp_utc", "type": "long"}, po2]
    return json.dumps({"type": "record", "name": "PyPatch", "fields": fields + list(more)})


JSON_SCHEMA = json.dumps({
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "PyRing", "type": "object", "additionalProperties": False,
    "required": ["serial", "timestamp_utc"],
    "properties": {
        "serial": {"type": "string", "x-oxbow-field": "deviceId"},
        "timestamp_utc": {"type": "integer"},
        "po2": {"type": "number", **{"x-oxbow-" + key: value for key, value in CHANNEL.items()}},
    },
})


def protobuf_class():
    """As protoc would make it, with the option of each field."""
    file = descriptor_pb2.FileDescriptorProto(name="py_strap.proto", package="py.v1", syntax="proto3", dependency=["google/protobuf/descriptor.proto"])
    file.extension.add(name="oxbow", number=51234, type=9, label=1, extendee=".google.protobuf.FieldOptions")
    message = file.message_type.add(name="PyStrap")
    message.oneof_decl.add(name="_po2")

    def field(name, number, kind, option=None, **more):
        added = message.field.add(name=name, number=number, type=kind, label=1, **more)
        if option is not None:
            text = option.encode()
            added.options.MergeFromString(b"\x92\x82\x19" + bytes([len(text)]) + text)

    field("serial", 1, 9, "field=deviceId")
    field("timestamp_utc", 2, 3)
    field("po2", 3, 1, "metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]", proto3_optional=True, oneof_index=0)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("py.v1.PyStrap"))


def refused(action):
    try:
        action()
        return None
    except SchemaRegistryError as error:
        return [error.http_status_code, error.error_code]


def framed(serializer, topic, value):
    return base64.b64encode(serializer(value, SerializationContext(topic, MessageField.VALUE))).decode()


record = {"serial": "py-1", "timestamp_utc": taken_at, "po2": 41.5}
PyStrap = protobuf_class()
messages = {
    "avro": framed(AvroSerializer(client, avro_schema()), "patch", record),
    "json": framed(JSONSerializer(JSON_SCHEMA, client), "ring", {**record, "timestamp_utc": taken_at + 1}),
    "protobuf": framed(ProtobufSerializer(PyStrap, client), "strap", PyStrap(serial="py-1", timestamp_utc=taken_at + 2, po2=41.5)),
}
registered = client.lookup_schema("patch-value", Schema(avro_schema(), "AVRO"))
optional = {"name": "rssi", "type": ["null", "int"], "default": None, "oxbow.ignore": True}
latest = client.get_latest_version("patch-value")
compatible = client.test_compatibility("patch-value", Schema(avro_schema(more=[optional]), "AVRO"))
incompatible = client.test_compatibility("patch-value", Schema(avro_schema().replace('"name": "po2"', '"name": "pO2"'), "AVRO"))
again = client.register_schema("patch-value", Schema(avro_schema(), "AVRO"))
broken = avro_schema().replace('"oxbow.metric": "tissue-po2"', '"oxbow.metric": "elsewhere"')
print(json.dumps({
    "messages": messages,
    "registered": [registered.subject, registered.version, registered.schema_id],
    "latest": [latest.version, latest.schema_id, json.loads(latest.schema.schema_str) == json.loads(avro_schema())],
    "again": again,
    "byId": json.loads(client.get_schema(registered.schema_id).schema_str)["name"],
    "subjects": client.get_subjects(),
    "versions": client.get_versions("patch-value"),
    "compatible": compatible,
    "incompatible": incompatible,
    "broken": refused(lambda: client.register_schema("patch-value", Schema(broken, "AVRO"))),
    "unreadable": refused(lambda: client.register_schema("patch-value", Schema(avro_schema(unit="kPa"), "AVRO"))),
    "nobody": refused(lambda: client.get_latest_version("nobody")),
    "removed": refused(lambda: client.delete_subject("patch-value")),
    "mode": [client.get_compatibility(), client.set_compatibility("patch-value", "FULL"), client.get_compatibility("patch-value")],
}))
