"""Compile, when the module is imported, what a node's first milliseconds would wait for.

A message's codec is compiled on its first use, about half a millisecond each.  The dozen that
every start needs are better paid for at import than between the start and the first answer.
"""

from __future__ import annotations

from kafka_py.metadata.features import METADATA_VERSION_LATEST, record_version
from kafka_py.protocol import api_versions, brokers
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol import records_raft as raft
from kafka_py.protocol.schema import Struct

__all__ = ["compile_codecs"]

_RECORDS = (
    r.BeginTransactionRecord,
    r.EndTransactionRecord,
    r.FeatureLevelRecord,
    r.ConfigRecord,
    r.RegisterControllerRecord,
    r.RegisterBrokerRecord,
    r.BrokerRegistrationChangeRecord,
    r.NoOpRecord,
    r.TopicRecord,
    r.PartitionRecord,
    r.PartitionChangeRecord,
)
_CONTROL = (
    raft.LeaderChangeMessage,
    raft.SnapshotHeaderRecord,
    raft.SnapshotFooterRecord,
)
#: What a node and its controller say to each other before the first client is answered.
_CALLS = (
    brokers.BrokerRegistrationRequest,
    brokers.BrokerRegistrationResponse,
    brokers.BrokerHeartbeatRequest,
    brokers.BrokerHeartbeatResponse,
    brokers.ControllerRegistrationRequest,
    brokers.ControllerRegistrationResponse,
)
#: The versions in which clients of today, and the oldest, begin a connection with ApiVersions.
_FIRST_VERSIONS = (0, 3, 4)


def construct(cls: type[Struct]) -> None:
    """Make one of the class and of each class in it, which compiles their constructors."""
    cls()
    for name, inner in vars(cls).items():
        if isinstance(inner, type) and inner.__qualname__ == f"{cls.__qualname__}.{name}":
            construct(inner)


def compile_codecs() -> None:
    """Encode and decode one of each; later calls cost next to nothing."""
    for message_type in (*_CALLS, *_RECORDS, *_CONTROL, api_versions.ApiVersionsResponse):
        construct(message_type)
    asked, answered = api_versions.ApiVersionsRequest, api_versions.ApiVersionsResponse
    for version in _FIRST_VERSIONS:
        asked.decode(asked().encode(version), version)
        answered().encode(version)
    for record_type in _RECORDS:
        record = record_type()
        version = record_version(record, METADATA_VERSION_LATEST)
        r.decode_record(r.encode_record(record, version))
    for control_type in _CONTROL:
        control_type.decode(control_type().encode(0), 0)
