"""Registration, heartbeats, fencing, controlled shutdown, ISR changes, elections, features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import Harness, directory

from kafka_py.metadata.types import DIRECTORY_LOST
from kafka_py.protocol.brokers import (
    AllocateProducerIdsRequest,
    AlterPartitionRequest,
    AssignReplicasToDirsRequest,
    UnregisterBrokerRequest,
)
from kafka_py.protocol.cluster import UpdateFeaturesRequest
from kafka_py.protocol.configs import IncrementalAlterConfigsRequest
from kafka_py.protocol.errors import ErrorCode as E
from kafka_py.protocol.topics import (
    AlterPartitionReassignmentsRequest,
    CreateTopicsRequest,
    ElectLeadersRequest,
    ListPartitionReassignmentsRequest,
)


def with_topic(h: Harness, replicas: list[int] | None = None, min_isr: int = 1) -> Harness:
    topic = CreateTopicsRequest.CreatableTopic(
        name="t",
        num_partitions=-1,
        replication_factor=-1,
        assignments=[
            CreateTopicsRequest.CreatableReplicaAssignment(
                partition_index=0, broker_ids=replicas or [1, 2, 3]
            )
        ],
        configs=[
            CreateTopicsRequest.CreatableTopicConfig(name="min.insync.replicas", value=str(min_isr))
        ],
    )
    assert h.ask(CreateTopicsRequest(topics=[topic])).topics[0].error_code == 0
    return h


def alter_isr(h: Harness, leader: int, isr: list[int], **fields: Any) -> Any:
    request = AlterPartitionRequest
    partition = h.partition("t")
    values: dict[str, Any] = {
        "partition_index": 0,
        "leader_epoch": partition.leader_epoch,
        "partition_epoch": partition.partition_epoch,
        "new_isr_with_epochs": [
            request.BrokerState(broker_id=b, broker_epoch=h.image.brokers[b].epoch) for b in isr
        ],
    }
    data = request.PartitionData(**{**values, **fields})
    topic = request.TopicData(topic_id=h.image.topics["t"].id, partitions=[data])
    message = request(broker_id=leader, broker_epoch=h.image.brokers[leader].epoch, topics=[topic])
    return h.ask(message).topics[0].partitions[0]


# -- registration ----------------------------------------------------------------------------------


def test_the_broker_epoch_is_the_offset_of_the_registration() -> None:
    h = Harness(brokers=0)
    reply = h.register(1)
    assert reply.error_code == 0
    assert reply.broker_epoch == h.node.applied_offset == h.image.brokers[1].epoch
    assert h.image.brokers[1].fenced
    again = h.register(1)  # the same incarnation amends what it said
    assert again.broker_epoch == reply.broker_epoch


def test_registrations_that_are_refused() -> None:
    h = Harness(brokers=2)
    assert h.register(3, cluster_id="other").error_code == E.INCONSISTENT_CLUSTER_ID
    assert h.register(2, b"x" * 16).error_code == E.DUPLICATE_BROKER_REGISTRATION
    assert h.register(3, log_dirs=[]).error_code == E.INVALID_REGISTRATION
    assert h.register(3, log_dirs=[DIRECTORY_LOST]).error_code == E.INVALID_REGISTRATION
    assert h.register(3, log_dirs=[directory(2)]).error_code == E.INVALID_REGISTRATION
    assert h.register(3, log_dirs=[b"q" * 16] * 2).error_code == E.INVALID_REGISTRATION
    assert h.register(3, features=[]).error_code == E.UNSUPPORTED_VERSION
    h.clock.advance(10_000)
    assert h.register(2, b"x" * 16).error_code == 0  # the session of the other one is over


def test_own_broker_may_come_back_at_once() -> None:
    h = Harness(brokers=1)
    second = Harness(brokers=0, store=h.store, clock=h.clock)
    assert not second.image.brokers[1].fenced
    assert second.register(1, b"n" * 16).error_code == 0
    assert second.image.brokers[1].fenced


# -- heartbeats ------------------------------------------------------------------------------------


def test_a_broker_is_unfenced_once_it_has_seen_its_registration() -> None:
    h = Harness(brokers=0)
    h.register(1)
    reply = h.heartbeat(1, current_metadata_offset=h.image.brokers[1].epoch - 1)
    assert (reply.is_fenced, reply.is_caught_up) == (True, False)
    reply = h.heartbeat(1, want_fence=True)
    assert (reply.is_fenced, reply.is_caught_up) == (True, True)
    reply = h.heartbeat(1)
    assert (reply.is_fenced, reply.should_shut_down) == (False, False)
    assert not h.image.brokers[1].fenced
    assert h.heartbeat(1, broker_epoch=1).error_code == E.STALE_BROKER_EPOCH
    assert h.heartbeat(1, want_fence=True).is_fenced
    assert h.image.brokers[1].fenced


def test_a_silent_broker_is_fenced_and_leads_no_more() -> None:
    h = with_topic(Harness(brokers=3), min_isr=2)
    assert h.partition("t").leader == 1
    for _ in range(10):
        h.clock.advance(1000)
        h.heartbeat(2)
        h.heartbeat(3)
        h.node.tick()
    assert h.image.brokers[1].fenced
    partition = h.partition("t")
    assert (partition.leader, partition.isr, partition.leader_epoch) == (2, (2, 3), 1)
    assert not h.image.brokers[2].fenced


def test_fencing_may_take_more_records_than_one_batch_holds() -> None:
    h = Harness(brokers=2)
    topic = CreateTopicsRequest.CreatableTopic
    for number in range(3):
        wanted = topic(name=f"t{number}", num_partitions=4000, replication_factor=2)
        assert h.ask(CreateTopicsRequest(topics=[wanted])).topics[0].error_code == 0
    h.heartbeat(1, want_fence=True)
    for image in h.image.topics.values():
        assert all(partition.isr == (2,) for partition in image.partitions.values())
    again = Harness(brokers=0, store=h.store, clock=h.clock)
    assert again.image.topics == h.image.topics


def test_the_last_replicas_to_leave_stay_eligible() -> None:
    h = with_topic(Harness(brokers=3), min_isr=2)
    h.heartbeat(1, want_fence=True)
    h.heartbeat(2, want_fence=True)
    partition = h.partition("t")
    assert (partition.leader, partition.isr, partition.elr) == (3, (3,), (2,))
    h.heartbeat(3, want_fence=True)
    partition = h.partition("t")
    assert (partition.leader, partition.isr, partition.elr) == (-1, (), (2, 3))
    assert partition.last_known_elr == (3,)
    # Broker 1 left while two were in sync: it may have missed records and cannot lead.
    h.heartbeat(1)
    assert h.partition("t").leader == -1
    h.heartbeat(2)
    partition = h.partition("t")
    assert (partition.leader, partition.isr, partition.elr) == (2, (2,), (3,))
    assert partition.leader_recovery_state == 0


def test_an_unclean_stop_ends_eligibility() -> None:
    h = with_topic(Harness(brokers=2), [1, 2], min_isr=2)
    h.heartbeat(1, want_fence=True)
    h.heartbeat(2, want_fence=True)
    assert h.partition("t").elr == (1, 2)
    epoch = h.image.brokers[1].epoch
    h.clock.advance(10_000)
    h.register(1, b"n" * 16, previous_broker_epoch=-1)
    assert h.partition("t").elr == (2,)
    clean = h.image.brokers[2].epoch
    h.register(2, b"m" * 16, previous_broker_epoch=clean)
    assert h.partition("t").elr == (2,)
    assert h.image.brokers[1].epoch > epoch


def test_controlled_shutdown_moves_leaders_first() -> None:
    h = with_topic(Harness(brokers=3))
    reply = h.heartbeat(1, want_shut_down=True)
    assert (reply.should_shut_down, reply.is_fenced) == (False, False)
    assert h.image.brokers[1].in_controlled_shutdown
    assert h.partition("t").leader == 2
    reply = h.heartbeat(1, want_shut_down=True)
    assert not reply.should_shut_down  # the others have not seen it yet
    h.heartbeat(2)
    h.heartbeat(3)
    reply = h.heartbeat(1, want_shut_down=True)
    assert (reply.should_shut_down, reply.is_fenced) == (True, True)
    assert h.image.brokers[1].fenced


def test_a_broker_without_leaders_may_stop_at_once() -> None:
    h = with_topic(Harness(brokers=3))
    reply = h.heartbeat(3, want_shut_down=True)
    assert reply.should_shut_down
    assert h.partition("t").isr == (1, 2)
    assert h.register(3, b"n" * 16).error_code == 0  # and come back at once


def test_lost_directories_take_their_replicas_out() -> None:
    h = with_topic(Harness(brokers=2), [1, 2])
    h.heartbeat(1, offline_log_dirs=[directory(1)])
    assert h.partition("t").isr == (2,)
    assert h.partition("t").leader == 2


def test_cordoned_directories_take_no_new_replicas() -> None:
    h = Harness(brokers=2)
    h.heartbeat(2, cordoned_log_dirs=[directory(2)])
    assert h.image.brokers[2].cordoned_directories == (directory(2),)
    topic = CreateTopicsRequest.CreatableTopic(name="x", num_partitions=8, replication_factor=1)
    h.ask(CreateTopicsRequest(topics=[topic]))
    assert {p.leader for p in h.image.topics["x"].partitions.values()} == {1}


def test_unregister() -> None:
    h = with_topic(Harness(brokers=3))
    assert h.ask(UnregisterBrokerRequest(broker_id=1)).error_code == 0
    assert 1 not in h.image.brokers
    assert h.partition("t").isr == (2, 3)
    reply = h.ask(UnregisterBrokerRequest(broker_id=1))
    assert reply.error_code == E.BROKER_ID_NOT_REGISTERED
    assert reply.error_message == "Broker ID 1 is not currently registered"


# -- partitions ------------------------------------------------------------------------------------


def test_isr_shrinks_and_widens_by_its_leader() -> None:
    h = with_topic(Harness(brokers=3))
    row = alter_isr(h, 1, [1, 2])
    assert (row.error_code, row.isr, row.partition_epoch) == (0, [1, 2], 1)
    assert h.partition("t").leader_epoch == 0  # since 3.6 a shrink needs no new leader epoch
    row = alter_isr(h, 1, [1, 2, 3])
    assert (row.error_code, row.leader_id, row.partition_epoch) == (0, 1, 2)
    assert h.partition("t").isr == (1, 2, 3)


@pytest.mark.parametrize(
    ("leader", "isr", "fields", "code"),
    [
        (2, [1, 2], {}, E.INVALID_REQUEST),
        (1, [2, 3], {}, E.INVALID_REQUEST),
        (1, [1, 4], {}, E.INVALID_REQUEST),
        (1, [1, 2], {"leader_epoch": 7}, E.NOT_CONTROLLER),
        (1, [1, 2], {"leader_epoch": -1}, E.FENCED_LEADER_EPOCH),
        (1, [1, 2], {"partition_epoch": -1}, E.INVALID_UPDATE_VERSION),
        (1, [1, 2], {"partition_epoch": 5}, E.NOT_CONTROLLER),
        (1, [1, 2], {"partition_index": 9}, E.UNKNOWN_TOPIC_OR_PARTITION),
        (1, [1, 2], {"leader_recovery_state": 1}, E.INVALID_REQUEST),
    ],
)
def test_isr_changes_that_are_refused(
    leader: int, isr: list[int], fields: dict[str, Any], code: E
) -> None:
    h = with_topic(Harness(brokers=4))
    before = h.partition("t")
    assert alter_isr(h, leader, isr, **fields).error_code == code
    assert h.partition("t") == before


def test_fenced_or_restarted_replicas_do_not_join_the_isr() -> None:
    h = with_topic(Harness(brokers=3))
    alter_isr(h, 1, [1, 2])
    request = AlterPartitionRequest
    stale = [
        request.BrokerState(broker_id=1, broker_epoch=h.image.brokers[1].epoch),
        request.BrokerState(broker_id=3, broker_epoch=h.image.brokers[3].epoch - 1),
    ]
    row = alter_isr(h, 1, [], new_isr_with_epochs=stale)
    assert row.error_code == E.INELIGIBLE_REPLICA
    h.heartbeat(3, want_fence=True)
    assert alter_isr(h, 1, [1, 2, 3]).error_code == E.INELIGIBLE_REPLICA


def test_preferred_and_unclean_elections() -> None:
    h = with_topic(Harness(brokers=2), [1, 2])
    request = ElectLeadersRequest
    topics = [request.TopicPartitions(topic="t", partitions=[0, 5])]

    def elect(kind: int) -> list[Any]:
        message = request(election_type=kind, topic_partitions=topics)
        return list(h.ask(message).replica_election_results[0].partition_result)

    assert [row.error_code for row in elect(0)] == [
        E.ELECTION_NOT_NEEDED,
        E.UNKNOWN_TOPIC_OR_PARTITION,
    ]
    h.heartbeat(1, want_fence=True)
    h.heartbeat(1)
    assert h.partition("t").leader == 2
    assert elect(0)[0].error_code == E.PREFERRED_LEADER_NOT_AVAILABLE
    alter_isr(h, 2, [2, 1])
    assert elect(0)[0].error_code == 0
    assert h.partition("t").leader == 1
    assert elect(1)[0].error_code == E.ELECTION_NOT_NEEDED
    assert h.ask(request(election_type=9, topic_partitions=topics)).error_code == E.INVALID_REQUEST
    assert (
        not h.ask(request(election_type=0, topic_partitions=None))
        .replica_election_results[0]
        .partition_result
    )


def test_leaders_go_back_to_preferred_replicas_in_time() -> None:
    h = with_topic(Harness(brokers=2, leader_imbalance_check_interval_ms=5000), [1, 2])
    h.heartbeat(1, want_fence=True)
    h.heartbeat(1)
    alter_isr(h, 2, [2, 1])
    assert h.partition("t").leader == 2
    h.clock.advance(5000)
    h.node.tick()
    assert h.partition("t").leader == 1


def test_unclean_election_is_off_by_default() -> None:
    h = with_topic(Harness(brokers=2), [1, 2])
    h.heartbeat(2, want_fence=True)
    h.heartbeat(1, want_fence=True)
    assert h.partition("t").isr == ()
    h.heartbeat(2)
    assert h.partition("t").leader == -1
    request = IncrementalAlterConfigsRequest
    resource = request.AlterConfigsResource(
        resource_type=2,
        resource_name="t",
        configs=[
            request.AlterableConfig(
                name="unclean.leader.election.enable", config_operation=0, value="true"
            )
        ],
    )
    assert h.ask(request(resources=[resource])).responses[0].error_code == 0
    elect = ElectLeadersRequest
    topics = [elect.TopicPartitions(topic="t", partitions=[0])]
    h.ask(elect(election_type=1, topic_partitions=topics))
    partition = h.partition("t")
    assert (partition.leader, partition.isr, partition.leader_recovery_state) == (2, (2,), 1)


def test_reassignment_runs_to_its_end() -> None:
    h = with_topic(Harness(brokers=3), [1, 2])
    request = AlterPartitionReassignmentsRequest

    def move(replicas: list[int] | None) -> Any:
        partition = request.ReassignablePartition(partition_index=0, replicas=replicas)
        topic = request.ReassignableTopic(name="t", partitions=[partition])
        return h.ask(request(topics=[topic])).responses[0].partitions[0]

    assert move(None).error_code == E.NO_REASSIGNMENT_IN_PROGRESS
    assert move([2, 3]).error_code == 0
    partition = h.partition("t")
    assert partition.replicas == (2, 3, 1)
    assert (partition.adding_replicas, partition.removing_replicas) == ((3,), (1,))
    ongoing = h.ask(ListPartitionReassignmentsRequest(topics=None)).topics[0].partitions[0]
    assert (ongoing.adding_replicas, ongoing.removing_replicas) == ([3], [1])
    # When 3 has caught up, 1 goes, and it was the leader.
    assert alter_isr(h, 1, [1, 2, 3]).error_code == E.NEW_LEADER_ELECTED
    partition = h.partition("t")
    assert (partition.replicas, partition.leader) == ((2, 3), 2)
    assert not partition.reassigning
    assert not h.ask(ListPartitionReassignmentsRequest(topics=None)).topics
    move([1, 3])
    assert move(None).error_code == 0
    assert sorted(h.partition("t").replicas) == [2, 3]
    assert move([9]).error_code == E.INVALID_REPLICA_ASSIGNMENT


def test_replicas_are_assigned_to_directories() -> None:
    h = Harness(brokers=0)
    h.join(1, log_dirs=[b"a" * 16, b"b" * 16])
    with_topic(h, [1])
    assert h.partition("t").directories == (bytes(15) + b"\x01",)
    request = AssignReplicasToDirsRequest
    topic_id = h.image.topics["t"].id
    topic = request.TopicData(
        topic_id=topic_id,
        partitions=[request.PartitionData(partition_index=i) for i in (0, 9)],
    )
    message = request(
        broker_id=1,
        broker_epoch=h.image.brokers[1].epoch,
        directories=[request.DirectoryData(id=b"b" * 16, topics=[topic])],
    )
    rows = h.ask(message).directories[0].topics[0].partitions
    assert [row.error_code for row in rows] == [0, E.UNKNOWN_TOPIC_OR_PARTITION]
    assert h.partition("t").directories == (b"b" * 16,)


# -- producer ids and features ---------------------------------------------------------------------


def test_producer_id_blocks_do_not_overlap() -> None:
    h = Harness()
    epoch = h.image.brokers[1].epoch
    request = AllocateProducerIdsRequest(broker_id=1, broker_epoch=epoch)
    blocks = [h.ask(request) for _ in range(3)]
    assert [(b.producer_id_start, b.producer_id_len) for b in blocks] == [
        (0, 1000),
        (1000, 1000),
        (2000, 1000),
    ]
    stale = AllocateProducerIdsRequest(broker_id=1, broker_epoch=epoch - 1)
    assert h.ask(stale).error_code == E.STALE_BROKER_EPOCH


def test_features_go_up_and_down() -> None:
    h = Harness(metadata_version=29)
    request = UpdateFeaturesRequest

    def update(name: str, level: int, kind: int = 1, **fields: Any) -> Any:
        row = request.FeatureUpdateKey(feature=name, max_version_level=level, upgrade_type=kind)
        return h.ask(request(feature_updates=[row], **fields))

    assert update("metadata.version", 30, validate_only=True).error_code == 0
    assert h.image.metadata_version == 29
    assert update("metadata.version", 30).error_code == 0
    assert h.image.metadata_version == 30
    reply = update("metadata.version", 29, 2)
    assert reply.error_code == E.INVALID_UPDATE_VERSION
    assert reply.error_message == (
        "The update failed for all features since the following feature had an error: "
        "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the requested "
        "downgrade because it might delete metadata information."
    )
    assert update("group.version", 0, 1).error_code == E.INVALID_UPDATE_VERSION
    assert update("group.version", 0, 2).error_code == 0
    assert "group.version" not in h.image.features
    assert update("nope", 1).error_code == E.INVALID_UPDATE_VERSION


def test_an_old_metadata_version_writes_old_records() -> None:
    h = Harness(metadata_version=14)
    topic = CreateTopicsRequest.CreatableTopic(name="t", num_partitions=1, replication_factor=1)
    assert h.ask(CreateTopicsRequest(topics=[topic])).topics[0].error_code == 0
    again = Harness(brokers=0, store=h.store, clock=h.clock, metadata_version=14)
    assert again.image.topics == h.image.topics
    assert h.partition("t").directories == (bytes(16),)
