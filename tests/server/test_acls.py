"""A broker with an authorizer: who may what, in the handlers and in the compiled paths.

On PLAINTEXT everybody is User:ANONYMOUS; the host (127.0.0.1) may do everything, the guest comes
from 127.0.0.2. That the answers are Apache's is tests/oracle's business (test_acls.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

import kcore
from kafka_py.protocol import acls, cluster, configs, group_offsets, groups, metadata, offsets
from kafka_py.protocol import topics as t
from kafka_py.protocol import transactions as tx
from kafka_py.protocol.acl_types import Operation as Op
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.fetch import FetchRequest
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import DescribeProducersRequest, InitProducerIdRequest
from kafka_py.server.broker import Broker
from kafka_py.server.dispatch import _ROUTES, BROKER, CONTROLLER
from tests.server.conftest import make_topic, on_loop
from tests.server.wire import Wire
from tests.waiting import PATIENCE_S

SETTINGS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "offsets.topic.num.partitions": "1",
}
GUEST = "127.0.0.2"
AUTHORIZATION = {29, 30, 31, 53}  # topic, group, cluster, transactional id

#: What has to be allowed on the cluster for an API to be answered at all.
CLUSTER_OPERATIONS = {
    BROKER: {
        ApiKey.DESCRIBE_ACLS: Op.DESCRIBE,
        ApiKey.CREATE_ACLS: Op.ALTER,
        ApiKey.DELETE_ACLS: Op.ALTER,
        ApiKey.ALTER_REPLICA_LOG_DIRS: Op.ALTER,
        ApiKey.ELECT_LEADERS: Op.ALTER,
        ApiKey.ALTER_PARTITION_REASSIGNMENTS: Op.ALTER,
        ApiKey.LIST_PARTITION_REASSIGNMENTS: Op.DESCRIBE,
        ApiKey.DESCRIBE_QUORUM: Op.DESCRIBE,
        ApiKey.UPDATE_FEATURES: Op.ALTER,
        ApiKey.UNREGISTER_BROKER: Op.ALTER,
        ApiKey.LIST_CONFIG_RESOURCES: Op.DESCRIBE_CONFIGS,
    },
}
CLUSTER_OPERATIONS[CONTROLLER] = {
    **CLUSTER_OPERATIONS[BROKER],
    ApiKey.DESCRIBE_CLUSTER: Op.ALTER,
    **dict.fromkeys(
        (
            *(ApiKey.FETCH, ApiKey.VOTE, ApiKey.BEGIN_QUORUM_EPOCH, ApiKey.END_QUORUM_EPOCH),
            *(ApiKey.ALTER_PARTITION, ApiKey.FETCH_SNAPSHOT, ApiKey.BROKER_REGISTRATION),
            *(ApiKey.BROKER_HEARTBEAT, ApiKey.ALLOCATE_PRODUCER_IDS),
            *(ApiKey.CONTROLLER_REGISTRATION, ApiKey.ASSIGN_REPLICAS_TO_DIRS),
        ),
        Op.CLUSTER_ACTION,
    ),
}
for _key in (ApiKey.LIST_CONFIG_RESOURCES, ApiKey.ALTER_REPLICA_LOG_DIRS):
    del CLUSTER_OPERATIONS[CONTROLLER][_key]

#: A request of every API whose handler asks the authorizer itself.
ASKING: dict[ApiKey, Any] = {
    ApiKey.PRODUCE: ProduceRequest(
        acks=1,
        topic_data=[
            ProduceRequest.TopicProduceData(
                name="t", partition_data=[ProduceRequest.PartitionProduceData(records=b"")]
            )
        ],
    ),
    ApiKey.FETCH: FetchRequest(
        topics=[FetchRequest.FetchTopic(topic="t", partitions=[FetchRequest.FetchPartition()])]
    ),
    ApiKey.LIST_OFFSETS: offsets.ListOffsetsRequest(
        topics=[
            offsets.ListOffsetsRequest.ListOffsetsTopic(
                name="t", partitions=[offsets.ListOffsetsRequest.ListOffsetsPartition()]
            )
        ]
    ),
    ApiKey.METADATA: metadata.MetadataRequest(
        topics=[metadata.MetadataRequest.MetadataRequestTopic(name="t")]
    ),
    ApiKey.DESCRIBE_TOPIC_PARTITIONS: metadata.DescribeTopicPartitionsRequest(
        topics=[metadata.DescribeTopicPartitionsRequest.TopicRequest(name="t")]
    ),
    ApiKey.OFFSET_COMMIT: group_offsets.OffsetCommitRequest(
        group_id="g",
        topics=[
            group_offsets.OffsetCommitRequest.OffsetCommitRequestTopic(
                name="t",
                partitions=[group_offsets.OffsetCommitRequest.OffsetCommitRequestPartition()],
            )
        ],
    ),
    ApiKey.OFFSET_FETCH: group_offsets.OffsetFetchRequest(
        groups=[group_offsets.OffsetFetchRequest.OffsetFetchRequestGroup(group_id="g")]
    ),
    ApiKey.OFFSET_DELETE: group_offsets.OffsetDeleteRequest(group_id="g"),
    ApiKey.FIND_COORDINATOR: groups.FindCoordinatorRequest(coordinator_keys=["g"]),
    ApiKey.JOIN_GROUP: groups.JoinGroupRequest(group_id="g", session_timeout_ms=10_000),
    ApiKey.SYNC_GROUP: groups.SyncGroupRequest(
        group_id="g", protocol_type="consumer", protocol_name="range"
    ),
    ApiKey.HEARTBEAT: groups.HeartbeatRequest(group_id="g"),
    ApiKey.LEAVE_GROUP: groups.LeaveGroupRequest(group_id="g"),
    ApiKey.CONSUMER_GROUP_HEARTBEAT: groups.ConsumerGroupHeartbeatRequest(
        group_id="g", member_id="m", member_epoch=1
    ),
    ApiKey.DESCRIBE_GROUPS: groups.DescribeGroupsRequest(groups=["g"]),
    ApiKey.DELETE_GROUPS: groups.DeleteGroupsRequest(groups_names=["g"]),
    ApiKey.CONSUMER_GROUP_DESCRIBE: groups.ConsumerGroupDescribeRequest(group_ids=["g"]),
    ApiKey.INIT_PRODUCER_ID: InitProducerIdRequest(transactional_id=None),
    ApiKey.DESCRIBE_PRODUCERS: DescribeProducersRequest(
        topics=[DescribeProducersRequest.TopicRequest(name="t", partition_indexes=[0])]
    ),
    ApiKey.OFFSET_FOR_LEADER_EPOCH: offsets.OffsetForLeaderEpochRequest(
        topics=[
            offsets.OffsetForLeaderEpochRequest.OffsetForLeaderTopic(
                topic="t",
                partitions=[offsets.OffsetForLeaderEpochRequest.OffsetForLeaderPartition()],
            )
        ]
    ),
    ApiKey.CREATE_TOPICS: t.CreateTopicsRequest(
        topics=[t.CreateTopicsRequest.CreatableTopic(name="n")]
    ),
    ApiKey.DELETE_TOPICS: t.DeleteTopicsRequest(
        topics=[t.DeleteTopicsRequest.DeleteTopicState(name="t")]
    ),
    ApiKey.CREATE_PARTITIONS: t.CreatePartitionsRequest(
        topics=[t.CreatePartitionsRequest.CreatePartitionsTopic(name="t", count=5)]
    ),
    ApiKey.DELETE_RECORDS: t.DeleteRecordsRequest(
        topics=[
            t.DeleteRecordsRequest.DeleteRecordsTopic(
                name="t", partitions=[t.DeleteRecordsRequest.DeleteRecordsPartition()]
            )
        ]
    ),
    ApiKey.DESCRIBE_CONFIGS: configs.DescribeConfigsRequest(
        resources=[
            configs.DescribeConfigsRequest.DescribeConfigsResource(
                resource_type=2, resource_name="t"
            )
        ]
    ),
    ApiKey.ALTER_CONFIGS: configs.AlterConfigsRequest(
        resources=[
            configs.AlterConfigsRequest.AlterConfigsResource(resource_type=2, resource_name="t")
        ]
    ),
    ApiKey.INCREMENTAL_ALTER_CONFIGS: configs.IncrementalAlterConfigsRequest(
        resources=[
            configs.IncrementalAlterConfigsRequest.AlterConfigsResource(
                resource_type=2, resource_name="t"
            )
        ]
    ),
    ApiKey.DESCRIBE_LOG_DIRS: cluster.DescribeLogDirsRequest(topics=[]),
    ApiKey.ADD_PARTITIONS_TO_TXN: tx.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="x",
        v3_and_below_topics=[
            tx.AddPartitionsToTxnRequest.AddPartitionsToTxnTopic(name="t", partitions=[0])
        ],
    ),
    ApiKey.ADD_OFFSETS_TO_TXN: tx.AddOffsetsToTxnRequest(transactional_id="x", group_id="g"),
    ApiKey.END_TXN: tx.EndTxnRequest(transactional_id="x"),
    ApiKey.WRITE_TXN_MARKERS: tx.WriteTxnMarkersRequest(
        markers=[
            tx.WriteTxnMarkersRequest.WritableTxnMarker(
                topics=[
                    tx.WriteTxnMarkersRequest.WritableTxnMarkerTopic(
                        name="t", partition_indexes=[0]
                    )
                ]
            )
        ]
    ),
    ApiKey.TXN_OFFSET_COMMIT: tx.TxnOffsetCommitRequest(
        transactional_id="x",
        group_id="g",
        topics=[
            tx.TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic(
                name="t",
                partitions=[tx.TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition()],
            )
        ],
    ),
    ApiKey.DESCRIBE_TRANSACTIONS: tx.DescribeTransactionsRequest(transactional_ids=["x"]),
}
#: In which version those are sent that have another one than the highest.
VERSIONS = {
    ApiKey.PRODUCE: 12,
    ApiKey.FETCH: 12,
    ApiKey.OFFSET_COMMIT: 9,
    ApiKey.ADD_PARTITIONS_TO_TXN: 3,
}
#: APIs that leave out or show less instead of refusing.
FILTERING = {ApiKey.LIST_GROUPS, ApiKey.DESCRIBE_CLUSTER, ApiKey.LIST_TRANSACTIONS}


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker whose host may do everything and whose guests nothing."""
    with Broker(SETTINGS) as running:
        with Wire(running.bootstrap_servers) as host:
            kinds = ((4, "kafka-cluster"), (2, "*"), (3, "*"), (5, "*"))
            allow(host, *[entry(k, name, Op.ALL, host="127.0.0.1") for k, name in kinds])
            make_topic(host, "t")
            make_topic(host, "hidden")
            commit(host)
        yield running


@pytest.fixture
def host(broker: Broker) -> Iterator[Wire]:
    """The host's connection; what the guest was given is taken back at the end."""
    with Wire(broker.bootstrap_servers) as connection:
        yield connection
        row = acls.DeleteAclsRequest.DeleteAclsFilter(
            resource_type_filter=1,
            resource_name_filter=None,
            pattern_type_filter=1,
            principal_filter=None,
            host_filter=GUEST,
            operation=1,
            permission_type=1,
        )
        assert connection.call(acls.DeleteAclsRequest(filters=[row]), 3).filter_results


@pytest.fixture
def guest(broker: Broker) -> Iterator[Wire]:
    """A guest's connection."""
    with Wire(broker.bootstrap_servers, source=GUEST) as connection:
        yield connection


def entry(kind: int, name: str, operation: Op, *, host: str = GUEST, pattern: int = 3) -> Any:
    """An entry that allows."""
    return acls.CreateAclsRequest.AclCreation(
        resource_type=kind,
        resource_name=name,
        resource_pattern_type=pattern,
        principal="User:ANONYMOUS",
        host=host,
        operation=int(operation),
        permission_type=3,
    )


def allow(wire: Wire, *entries: Any) -> None:
    """Create entries; they are in force when this returns."""
    reply = wire.call(acls.CreateAclsRequest(creations=list(entries)), 3)
    assert [row.error_code for row in reply.results] == [0] * len(entries)


def commit(wire: Wire, offset: int = 1) -> int:
    """Commit an offset of t for group g: the error code."""
    wire.call(groups.FindCoordinatorRequest(coordinator_keys=["g"]), 4)
    request = ASKING[ApiKey.OFFSET_COMMIT]
    request.topics[0].partitions[0].committed_offset = offset
    return int(wire.call(request, 9).topics[0].partitions[0].error_code)


def codes(reply: Any) -> set[int]:
    """All error codes in a reply."""
    found = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name.endswith("error_code"):
                    found.add(inner)
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(reply.to_dict())
    return found


@pytest.mark.parametrize("role", [BROKER, CONTROLLER])
def test_every_api_says_who_may_call_it(role: str) -> None:
    """By an operation on the cluster, or (tested below) by itself; ApiVersions is for everybody."""
    wanted = CLUSTER_OPERATIONS[role]
    declared = {key: row.cluster for key, row in _ROUTES[role].items() if row.cluster is not None}
    assert declared == wanted
    others = {ApiKey(key) for key in _ROUTES[role]} - set(wanted) - {ApiKey.API_VERSIONS}
    if role == BROKER:
        assert others == set(ASKING) | FILTERING
    else:
        assert others <= set(ASKING)


@pytest.mark.parametrize("key", ASKING, ids=lambda key: key.name)
def test_a_guest_without_rights_is_refused(key: ApiKey, guest: Wire, host: Wire) -> None:
    request = ASKING[key]
    version = VERSIONS.get(key, _ROUTES[BROKER][int(key)].highest)
    assert codes(guest.call(request, version)) & AUTHORIZATION
    assert not codes(guest.call(request, version)) - AUTHORIZATION - {0}


@pytest.mark.parametrize(
    ("request_", "version"),
    [
        (acls.DescribeAclsRequest(resource_type_filter=1, operation=1, permission_type=1), 3),
        (acls.CreateAclsRequest(creations=[entry(2, "t", Op.READ)]), 3),
        (t.ElectLeadersRequest(topic_partitions=None), 2),
        (t.ListPartitionReassignmentsRequest(topics=None), 0),
        (configs.ListConfigResourcesRequest(), 1),
        (
            cluster.AlterReplicaLogDirsRequest(
                dirs=[
                    cluster.AlterReplicaLogDirsRequest.AlterReplicaLogDir(
                        path="/nowhere",
                        topics=[
                            cluster.AlterReplicaLogDirsRequest.AlterReplicaLogDirTopic(
                                name="t", partitions=[0]
                            )
                        ],
                    )
                ]
            ),
            2,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_guest_may_do_nothing_to_the_cluster(request_: Any, version: int, guest: Wire) -> None:
    assert codes(guest.call(request_, version)) == {31}


def test_what_a_guest_may_not_see_is_left_out(guest: Wire, host: Wire) -> None:
    everything = metadata.MetadataRequest(topics=None)
    assert {topic.name for topic in host.call(everything, 12).topics} > {"t", "hidden"}
    assert not guest.call(everything, 12).topics
    assert not guest.call(groups.ListGroupsRequest(), 5).groups
    allow(host, entry(2, "t", Op.WRITE), entry(3, "g", Op.READ))
    (seen,) = guest.call(
        metadata.MetadataRequest(topics=None, include_topic_authorized_operations=True), 12
    ).topics
    assert seen.name == "t"
    assert seen.topic_authorized_operations == 1 << Op.WRITE | 1 << Op.DESCRIBE
    assert [group.group_id for group in guest.call(groups.ListGroupsRequest(), 5).groups] == ["g"]
    asked = cluster.DescribeClusterRequest(include_cluster_authorized_operations=True)
    assert guest.call(asked, 1).cluster_authorized_operations == 0
    assert host.call(asked, 1).cluster_authorized_operations == 8096


def test_auto_creation_takes_the_right_to_create(guest: Wire, host: Wire) -> None:
    topic = metadata.MetadataRequest.MetadataRequestTopic(name="made")
    wanted = metadata.MetadataRequest(topics=[topic], allow_auto_topic_creation=True)
    allow(host, entry(2, "made", Op.DESCRIBE))
    assert guest.call(wanted, 12).topics[0].error_code == 29
    allow(host, entry(2, "ma", Op.CREATE, pattern=4))
    assert guest.call(wanted, 12).topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert guest.call(wanted, 12).topics[0].error_code == 0


def produce(wire: Wire) -> int:
    """Produce to t: the error code."""
    request = ASKING[ApiKey.PRODUCE]
    records = kcore.build([(b"k", b"v", {}, 1_790_000_000_000)])
    request.topic_data[0].partition_data[0].records = records
    return int(wire.call(request, 12).responses[0].partition_responses[0].error_code)


def fetch(wire: Wire) -> int:
    """Fetch from t: the error code."""
    request = ASKING[ApiKey.FETCH]
    request.topics[0].partitions[0].partition_max_bytes = 1 << 20
    return int(wire.call(request, 12).responses[0].partitions[0].error_code)


def by_id(wire: Wire, topic_id: bytes) -> tuple[int, int]:
    """Produce to and fetch from a topic by its id: the error codes."""
    records = kcore.build([(b"k", b"v", {}, 1_790_000_000_000)])
    produce = ProduceRequest(
        acks=1,
        topic_data=[
            ProduceRequest.TopicProduceData(
                topic_id=topic_id,
                partition_data=[ProduceRequest.PartitionProduceData(records=records)],
            )
        ],
    )
    wanted = FetchRequest.FetchPartition(partition_max_bytes=1 << 20)
    fetch = FetchRequest(topics=[FetchRequest.FetchTopic(topic_id=topic_id, partitions=[wanted])])
    # Without a session: a full one would be answered by the handler.
    fetch.session_epoch = -1
    produced = wire.call(produce, 13).responses[0].partition_responses[0].error_code
    return int(produced), int(wire.call(fetch, 13).responses[0].partitions[0].error_code)


def test_the_compiled_paths_by_id(broker: Broker, guest: Wire, host: Wire) -> None:
    topic_id = make_topic(host, "by.id")
    before = counters(broker)
    assert by_id(guest, topic_id) == (29, 29)
    assert counters(broker) == before
    allow(host, entry(2, "by.", Op.READ, pattern=4), entry(2, "by.", Op.WRITE, pattern=4))
    assert by_id(guest, topic_id) == (0, 0)
    assert counters(broker)[:2] == tuple(count + 1 for count in before[:2])


def counters(broker: Broker) -> tuple[int, int, int]:
    """How many requests the compiled paths answered: produces, fetches, commits."""
    fast, commits = broker._hub.fast, broker._hub.commits
    return on_loop(broker, lambda: (fast.produced, fast.fetched, commits.commits))


def test_the_compiled_paths_do_what_is_granted(broker: Broker, guest: Wire, host: Wire) -> None:
    before = counters(broker)
    assert (produce(guest), fetch(guest), commit(guest)) == (29, 29, 30)
    assert counters(broker) == before
    read, write = entry(2, "t", Op.READ), entry(2, "t", Op.WRITE)
    allow(host, read, write, entry(3, "g", Op.READ))
    assert (produce(guest), fetch(guest), commit(guest)) == (0, 0, 0)
    assert counters(broker) == tuple(count + 1 for count in before)
    deny = entry(2, "t", Op.ALL)
    deny.permission_type = 2
    allow(host, deny)
    assert (produce(guest), fetch(guest), commit(guest)) == (29, 29, 29)
    assert (produce(host), fetch(host), commit(host)) == (0, 0, 0)


def test_a_refusal_is_in_the_audit_log(
    guest: Wire, host: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "kafka.authorizer.logger"):
        fetch(guest)
        guest.call(metadata.MetadataRequest(topics=None), 12)
    (line,) = caplog.messages
    assert "User:ANONYMOUS is Denied operation = READ from host = 127.0.0.2" in line
    assert "Topic:LITERAL:t for request = Fetch" in line
    assert line.endswith("based on rule DefaultDeny")


def test_a_malformed_filter_ends_the_connection(host: Wire, broker: Broker) -> None:
    with Wire(broker.bootstrap_servers) as one:
        one.send(acls.DescribeAclsRequest(operation=0, permission_type=1), 3)
        assert one.closed()


def test_without_an_authorizer_security_is_disabled() -> None:
    with Broker() as running, Wire(running.bootstrap_servers) as wire:
        wanted = acls.DescribeAclsRequest(
            resource_type_filter=1, operation=1, permission_type=1, resource_name_filter=None
        )
        reply = wire.call(wanted, 3)
        assert reply.error_code == ErrorCode.SECURITY_DISABLED
        assert reply.error_message == "No Authorizer is configured on the broker"
        (row,) = wire.call(acls.CreateAclsRequest(creations=[entry(2, "t", Op.READ)]), 3).results
        assert (row.error_code, row.error_message) == (54, "No Authorizer is configured.")
        one = acls.DeleteAclsRequest.DeleteAclsFilter(operation=1, permission_type=1)
        one.resource_type_filter = 1
        (row,) = wire.call(acls.DeleteAclsRequest(filters=[one]), 3).filter_results
        assert row.error_code == ErrorCode.SECURITY_DISABLED


def test_entries_survive_a_restart(tmp_path: Any) -> None:
    with Broker(SETTINGS, data=tmp_path) as first, Wire(first.bootstrap_servers) as wire:
        allow(wire, entry(2, "*", Op.ALL, host="127.0.0.1"))
    with Broker(SETTINGS, data=tmp_path) as again:
        topic = metadata.MetadataRequest.MetadataRequestTopic(name="t")
        wanted = metadata.MetadataRequest(topics=[topic], allow_auto_topic_creation=False)
        with Wire(again.bootstrap_servers, source=GUEST) as wire:
            assert wire.call(wanted, 12).topics[0].error_code == 29
        with Wire(again.bootstrap_servers) as wire:
            assert wire.call(wanted, 12).topics[0].error_code == 3


def test_a_fetch_that_waits_keeps_what_it_was_allowed(
    broker: Broker, guest: Wire, host: Wire
) -> None:
    """Others' requests in between, who may do less, change nothing for it."""
    make_topic(host, "waited")
    wanted = FetchRequest.FetchPartition(partition_max_bytes=1 << 20)
    request = FetchRequest(
        max_wait_ms=8000,
        min_bytes=1,
        session_epoch=-1,
        topics=[FetchRequest.FetchTopic(topic="waited", partitions=[wanted])],
    )
    with Wire(broker.bootstrap_servers) as reader:
        reader.send(request, 12)
        partition = broker.node.replicas.partition("waited", 0)
        assert host.call(metadata.MetadataRequest(topics=[]), 9) is not None
        assert fetch(guest) == ErrorCode.TOPIC_AUTHORIZATION_FAILED
        before = counters(broker)[1]
        data = ASKING[ApiKey.PRODUCE].topic_data[0].partition_data[0]
        data.records = kcore.build([(b"k", b"v", {}, 1_790_000_000_000)])
        topic = ProduceRequest.TopicProduceData(name="waited", partition_data=[data])
        assert host.call(ProduceRequest(acks=1, topic_data=[topic]), 12).responses
        assert reader.receive().responses[0].partitions[0].records
        assert counters(broker)[1] == before + 1
        assert not [one for one in partition.fetch_waiters or () if not one.done]


def test_what_a_transaction_takes(guest: Wire, host: Wire) -> None:
    """The transactional id first, then what is added to it."""
    ids, topic, group = entry(5, "x", Op.WRITE), entry(2, "t", Op.WRITE), entry(3, "g", Op.READ)

    def added() -> int:
        reply = guest.call(ASKING[ApiKey.ADD_PARTITIONS_TO_TXN], 3)
        (row,) = reply.results_by_topic_v3_and_below[0].results_by_partition
        return int(row.partition_error_code)

    def offsets_added() -> int:
        return int(guest.call(ASKING[ApiKey.ADD_OFFSETS_TO_TXN], 3).error_code)

    def committed() -> int:
        reply = guest.call(ASKING[ApiKey.TXN_OFFSET_COMMIT], 3)
        return int(reply.topics[0].partitions[0].error_code)

    assert (added(), offsets_added(), committed()) == (53, 53, 53)
    batched = guest.call(tx.AddPartitionsToTxnRequest(transactions=[]), 4)
    assert batched.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    allow(host, ids)
    assert (added(), offsets_added(), committed()) == (29, 30, 30)
    allow(host, topic, group)
    assert committed() == 29
    host.call(groups.FindCoordinatorRequest(key_type=1, coordinator_keys=["x"]), 4)
    # Nobody has opened the transaction: what is told now is the coordinator's.
    assert not {added(), offsets_added()} & AUTHORIZATION
    allow(host, entry(2, "t", Op.READ))
    assert committed() not in AUTHORIZATION
    (state,) = guest.call(ASKING[ApiKey.DESCRIBE_TRANSACTIONS], 0).transaction_states
    # WRITE implies DESCRIBE.
    assert state.error_code not in AUTHORIZATION


def test_an_open_transaction_is_only_for_who_may_use_its_id(guest: Wire, host: Wire) -> None:
    """The compiled path takes the later batches of a transaction; not from just anybody."""
    make_topic(host, "shared")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        begun = host.call(
            InitProducerIdRequest(transactional_id="theirs", transaction_timeout_ms=10_000), 4
        )
        if not begun.error_code:
            break
        assert time.monotonic() < deadline, begun
        host.call(groups.FindCoordinatorRequest(key_type=1, coordinator_keys=["theirs"]), 4)
        time.sleep(0.05)

    def write(wire: Wire, sequence: int) -> int:
        records = kcore.build(
            [(b"k", b"v", {}, 1_790_000_000_000)],
            producer_id=begun.producer_id,
            producer_epoch=begun.producer_epoch,
            base_sequence=sequence,
            transactional=True,
        )
        data = ProduceRequest.PartitionProduceData(records=records)
        topic = ProduceRequest.TopicProduceData(name="shared", partition_data=[data])
        request = ProduceRequest(acks=-1, transactional_id="theirs", topic_data=[topic])
        said = wire.call(request, 12).responses[0].partition_responses[0]
        return int(said.error_code)

    while (code := write(host, 0)) != 0:
        assert time.monotonic() < deadline, code
    allow(host, entry(2, "shared", Op.WRITE))
    assert write(guest, 1) == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    allow(host, entry(5, "theirs", Op.WRITE))
    assert write(guest, 1) == 0
    assert write(host, 2) == 0
