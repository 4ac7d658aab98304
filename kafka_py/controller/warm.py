"""Compile, when the module is imported, what a node's first milliseconds would wait for.

A message's codec is compiled on its first use, about half a millisecond each.  The dozen that
every start needs are better paid for at import than between the start and the first answer.
"""

from __future__ import annotations

from kafka_py.metadata.features import METADATA_VERSION_LATEST, record_version
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol import records_raft as raft

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


def compile_codecs() -> None:
    """Encode and decode one of each; later calls cost next to nothing."""
    for record_type in _RECORDS:
        record = record_type()
        version = record_version(record, METADATA_VERSION_LATEST)
        r.decode_record(r.encode_record(record, version))
    for control_type in _CONTROL:
        control_type.decode(control_type().encode(0), 0)
