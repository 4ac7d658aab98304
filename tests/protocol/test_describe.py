"""Schemas as text."""

import pytest

from kafka_py.protocol.describe import api_rows, describe, describe_named
from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.registry import all_messages
from kafka_py.protocol.transactions import InitProducerIdRequest

FETCH_V12 = """\
FetchRequest v12 (key 1, tagged fields)
  replica_id: int32, default -1
  max_wait_ms: int32
  min_bytes: int32
  max_bytes: int32, default 2147483647
  isolation_level: int8
  session_id: int32
  session_epoch: int32, default -1
  topics: []FetchTopic
    topic: string
    partitions: []FetchPartition
      partition: int32
      current_leader_epoch: int32, default -1
      fetch_offset: int64
      last_fetched_epoch: int32, default -1
      log_start_offset: int64, default -1
      partition_max_bytes: int32
  forgotten_topics_data: []ForgottenTopic
    topic: string
    partitions: []int32
  rack_id: string
  tag 0 cluster_id: string, nullable, default null"""


def test_one_version_is_shown_as_on_the_wire() -> None:
    assert describe(FetchRequest, 12) == FETCH_V12


def test_all_versions_together() -> None:
    text = describe(FetchRequest)
    assert text.startswith("FetchRequest (key 1, versions 4-18, tagged fields from 12)")
    assert "replica_id: int32, default -1, versions 0-14" in text
    assert "tag 0 cluster_id: string, nullable, default null, versions 12+, ignorable" in text
    assert "stable up to 5" in describe(InitProducerIdRequest)


def test_names_in_any_spelling() -> None:
    both = describe_named("init-producer-id", 4)
    assert both.startswith("InitProducerIdRequest v4")
    assert "\n\nInitProducerIdResponse v4" in both
    assert describe_named("partitionrecord").startswith("PartitionRecord (key 3")
    with pytest.raises(KeyError, match="near it: FetchRequest"):
        describe_named("fetc")
    with pytest.raises(ValueError, match="not 99"):
        describe(FetchRequest, 99)


def test_everything_can_be_described() -> None:
    for cls in all_messages():
        assert describe(cls).startswith(cls.__name__)
        for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1):
            assert describe(cls, version)
    assert (18, "ApiVersions", "0-5", "3+", "broker controller") in api_rows()
