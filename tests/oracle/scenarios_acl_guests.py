"""What every API answers to a guest, in one state of rights after another; see scenarios_acls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kafka_py.protocol.acl_types import Operation as Op
from kafka_py.protocol.registry import ApiKey
from tests.oracle.raw import UNKNOWN_ID, Recorder, batch
from tests.oracle.scenarios_acls import (
    ANY_FILTER,
    CLUSTER,
    DENY,
    GROUP,
    GUEST,
    PREFIXED,
    TOPIC,
    creation,
    grant,
)

NAMES = ("acl-open", "acl-closed")
TOPIC_RIGHTS = (Op.READ, Op.WRITE, Op.CREATE, Op.DELETE, Op.ALTER, Op.DESCRIBE)
CONFIG_RIGHTS = (Op.DESCRIBE_CONFIGS, Op.ALTER_CONFIGS)


def states() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What the guest may, one after another."""
    yield "nothing", []
    for operation in (*TOPIC_RIGHTS, *CONFIG_RIGHTS):
        yield f"{operation.name} on a topic", [creation(TOPIC, "acl-open", operation)]
    for operation in (Op.READ, Op.DELETE, Op.DESCRIBE, *CONFIG_RIGHTS):
        yield f"{operation.name} on a group", [creation(GROUP, "acl-open", operation)]
    for operation in (
        *(Op.CREATE, Op.DELETE, Op.ALTER, Op.DESCRIBE, Op.CLUSTER_ACTION),
        *(*CONFIG_RIGHTS, Op.IDEMPOTENT_WRITE),
    ):
        yield f"{operation.name} on the cluster", [creation(CLUSTER, "kafka-cluster", operation)]
    reading = [creation(TOPIC, "acl-", Op.READ, pattern=PREFIXED), creation(GROUP, "*", Op.READ)]
    yield "a reader by prefix", reading
    denied = creation(TOPIC, "acl-closed", Op.READ, permission=DENY)
    yield "a reader with an exception", [*reading, denied]
    rows = [creation(kind, "*", Op.ALL) for kind in (TOPIC, GROUP)]
    no_describe = creation(TOPIC, "*", Op.DESCRIBE, permission=DENY)
    yield "everything but to describe topics", [*rows, no_describe]
    by_all = [creation(TOPIC, "*", Op.ALL, principal="User:*", host="*")]
    yield "everything by everybody", [{**row, "host": GUEST} for row in by_all]


class Guest:
    """The questions of a guest; ``r`` connects from there."""

    def __init__(self, r: Recorder, ids: dict[str, str]) -> None:
        self.r = r
        self.ids = ids

    def ask_everything(self, state: str) -> None:
        """All of them."""
        self.r.note("the guest may", state)
        self.metadata()
        self.data()
        self.groups()
        self.offsets()
        self.admin()
        self.configs()
        self.cluster()
        self.creations()

    def creations(self) -> None:
        """Topics that come into being because they are asked for."""
        rows = [{"name": name} for name in (*NAMES, "acl-auto", "acl/bad", "__consumer_offsets")]
        for version in (1, 4, 13):
            rows[2] = {"name": f"acl-auto-{version}"}
            self.r.ask(ApiKey.METADATA, version, topics=rows, allow_auto_topic_creation=True)

    def metadata(self) -> None:
        """Where topics are."""
        more = {
            "include_cluster_authorized_operations": True,
            "include_topic_authorized_operations": True,
        }
        rows = [{"name": name} for name in (*NAMES, "acl-missing", "acl/bad")]
        for version in (0, 1, 4, 8, 10, 13):
            self.r.ask(
                ApiKey.METADATA,
                version,
                # Before version 4 asking creates.
                topics=rows if version >= 4 else rows[:2],
                allow_auto_topic_creation=False,
                **more,
            )
            everything = [] if version == 0 else None
            self.r.ask(ApiKey.METADATA, version, topics=everything, **more)
        by_id = [{"topic_id": one, "name": None} for one in (*self.ids.values(), UNKNOWN_ID)]
        self.r.ask(ApiKey.METADATA, 13, topics=by_id, **more)
        limit = {"response_partition_limit": 10}
        self.r.ask(ApiKey.DESCRIBE_TOPIC_PARTITIONS, topics=[], **limit)
        self.r.ask(ApiKey.DESCRIBE_TOPIC_PARTITIONS, topics=rows[:3], **limit)

    def data(self) -> None:
        """Records, offsets and epochs."""
        r = self.r
        records = batch([(b"k", b"v")], first_timestamp=r.first_timestamp).hex()
        part = {"index": 0, "records": records}
        for version in (3, 9, 13):
            rows = [
                {"name": name, "topic_id": self.ids.get(name, UNKNOWN_ID), "partition_data": [part]}
                for name in (*NAMES, "acl-missing")
            ]
            r.ask(ApiKey.PRODUCE, version, acks=1, timeout_ms=5000, topic_data=rows)
            r.ask(ApiKey.PRODUCE, version, acks=5, timeout_ms=5000, topic_data=rows[:2])
        asked = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1}
        for version in (4, 11, 17):
            topics = [
                {"topic": name, "topic_id": self.ids.get(name, UNKNOWN_ID), "partitions": [asked]}
                for name in (*NAMES, "acl-missing")
            ]
            size = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20}
            r.ask(ApiKey.FETCH, version, replica_id=-1, **size, topics=topics[:2])
            r.ask(ApiKey.FETCH, version, replica_id=-1, **size, topics=topics)
            follower = {"replica_id": 7, "replica_state": {"replica_id": 7, "replica_epoch": -1}}
            r.ask(ApiKey.FETCH, version, **follower, **size, topics=topics[1:])
            session = r.ask(
                ApiKey.FETCH, version, replica_id=-1, **size, topics=topics, session_epoch=0
            )
            if version >= 7 and session.session_id:
                going_on = {"session_id": session.session_id, "session_epoch": 1}
                r.ask(ApiKey.FETCH, version, replica_id=-1, **size, topics=[], **going_on)
        rows = [
            {"name": name, "partitions": [{"partition_index": i, "timestamp": -2} for i in (0, 9)]}
            for name in (*NAMES, "acl-missing")
        ]
        for version in (1, 11):
            r.ask(ApiKey.LIST_OFFSETS, version, replica_id=-1, topics=rows)
        rows = [
            {"topic": n, "partitions": [{"partition": 0, "current_leader_epoch": -1}]}
            for n in (*NAMES, "acl-missing")
        ]
        r.ask(ApiKey.OFFSET_FOR_LEADER_EPOCH, replica_id=-1, topics=rows)
        rows = [
            {"name": n, "partitions": [{"partition_index": 0, "offset": 0}]}
            for n in (*NAMES, "acl-missing")
        ]
        r.ask(ApiKey.DELETE_RECORDS, timeout_ms=5000, topics=rows)
        rows = [{"name": name, "partition_indexes": [0, 9]} for name in (*NAMES, "acl-missing")]
        r.ask(ApiKey.DESCRIBE_PRODUCERS, topics=rows)
        r.ask(ApiKey.INIT_PRODUCER_ID, 5, transactional_id=None)

    def groups(self) -> None:
        """Membership, coordinators, what groups there are."""
        r = self.r
        for group in NAMES:
            self.membership(group)
        for version in (0, 3, 4, 6):
            r.ask(
                ApiKey.FIND_COORDINATOR,
                version,
                key=NAMES[0],
                key_type=0,
                coordinator_keys=list(NAMES),
            )
        r.ask(ApiKey.FIND_COORDINATOR, 2, key="acl-txn", key_type=1)
        r.ask(ApiKey.FIND_COORDINATOR, 6, coordinator_keys=["acl-txn"], key_type=1)
        r.ask_all(ApiKey.LIST_GROUPS)
        r.ask_all(
            ApiKey.DESCRIBE_GROUPS,
            groups=[*NAMES, "acl-no-group"],
            include_authorized_operations=True,
        )
        r.ask_all(
            ApiKey.CONSUMER_GROUP_DESCRIBE,
            group_ids=["acl-consumer", *NAMES, ""],
            include_authorized_operations=True,
        )
        for version in (0, 2):
            r.ask(ApiKey.DELETE_GROUPS, version, groups_names=["acl-no-group", NAMES[0]])

    def membership(self, group: str) -> None:
        """Requests of a member that the group does not have."""
        r = self.r
        member = {"group_id": group, "member_id": "nobody", "generation_id": 3}
        for version in (0, 5, 9):
            r.ask(
                ApiKey.JOIN_GROUP,
                version,
                group_id=group,
                member_id="nobody",
                protocol_type="consumer",
                session_timeout_ms=30_000,
                rebalance_timeout_ms=1000,
                protocols=[{"name": "range", "metadata": ""}],
            )
            r.ask(ApiKey.HEARTBEAT, min(version, 4), **member)
        for version in (0, 5):
            named = {"protocol_type": "consumer", "protocol_name": "range"}
            r.ask(ApiKey.SYNC_GROUP, version, **member, **named)
        r.ask(ApiKey.SYNC_GROUP, 5, **member)
        for version in (0, 2, 5):
            leaving = {"members": [{"member_id": "nobody"}]} if version >= 3 else {}
            r.ask(ApiKey.LEAVE_GROUP, version, group_id=group, member_id="nobody", **leaving)
        member = {"group_id": group, "member_id": "nobody", "member_epoch": 5}
        r.ask(ApiKey.CONSUMER_GROUP_HEARTBEAT, **member)
        r.ask(ApiKey.CONSUMER_GROUP_HEARTBEAT, **member, subscribed_topic_names=list(NAMES))

    def offsets(self) -> None:
        """What groups committed."""
        r = self.r
        for version in (2, 7, 9, 10):
            for group in NAMES:
                part = {"partition_index": 0, "committed_offset": 1, "committed_metadata": ""}
                topics = [
                    {
                        "name": name,
                        "topic_id": self.ids.get(name, UNKNOWN_ID),
                        "partitions": [part],
                    }
                    for name in (*NAMES, "acl-missing")
                ]
                r.ask(
                    ApiKey.OFFSET_COMMIT,
                    version,
                    group_id=group,
                    generation_id_or_member_epoch=-1,
                    member_id="",
                    topics=topics,
                )
        for version in (1, 2, 5, 7):
            for group in NAMES:
                rows = [{"name": name, "partition_indexes": [0]} for name in NAMES]
                r.ask(ApiKey.OFFSET_FETCH, version, group_id=group, topics=rows)
                if version >= 2:
                    r.ask(ApiKey.OFFSET_FETCH, version, group_id=group, topics=None)
        for version in (8, 9, 10):
            rows = [
                {
                    "name": name,
                    "topic_id": self.ids.get(name, UNKNOWN_ID),
                    "partition_indexes": [0],
                }
                for name in (*NAMES, "acl-missing")
            ]
            groups = [{"group_id": group, "topics": rows} for group in NAMES]
            r.ask(ApiKey.OFFSET_FETCH, version, groups=groups)
            groups = [{"group_id": group, "topics": None} for group in NAMES]
            r.ask(ApiKey.OFFSET_FETCH, version, groups=groups)
        for group in (*NAMES, "acl-no-group"):
            rows = [
                {"name": name, "partitions": [{"partition_index": 5}]}
                for name in (*NAMES, "acl-missing")
            ]
            r.ask(ApiKey.OFFSET_DELETE, group_id=group, topics=rows)

    def admin(self) -> None:
        """Topics made, changed and deleted (but nothing that would last)."""
        r = self.r
        one = {"num_partitions": 1, "replication_factor": 1}
        rows = [{"name": n, **one} for n in (*NAMES, "acl-new", "acl/bad", "acl-twice")]
        rows += [rows[-1], {"name": "__cluster_metadata", **one}]
        for version in (2, 5, 7):
            r.ask(ApiKey.CREATE_TOPICS, version, topics=rows, validate_only=True, timeout_ms=5000)
        r.ask(ApiKey.DELETE_TOPICS, 5, topic_names=["acl-missing", "acl-closed2"], timeout_ms=5000)
        rows = [{"name": "acl-missing"}, {"name": None, "topic_id": UNKNOWN_ID}]
        rows += [{"name": "acl-twice"}, {"name": "acl-twice"}]
        r.ask(ApiKey.DELETE_TOPICS, 6, topics=rows, timeout_ms=5000)
        rows = [{"name": n, "count": 9} for n in (*NAMES, "acl-missing", "acl-twice", "acl-twice")]
        r.ask(ApiKey.CREATE_PARTITIONS, topics=rows, validate_only=True, timeout_ms=5000)
        partitions = [{"topic": "acl-open", "partitions": [0]}]
        r.ask_all(ApiKey.ELECT_LEADERS, topic_partitions=partitions, timeout_ms=5000)
        r.ask(ApiKey.ELECT_LEADERS, topic_partitions=None, timeout_ms=5000)
        rows = [{"name": "acl-open", "partitions": [{"partition_index": 0, "replicas": None}]}]
        r.ask_all(ApiKey.ALTER_PARTITION_REASSIGNMENTS, topics=rows, timeout_ms=5000)
        rows = [{"name": "acl-open", "partition_indexes": [0]}]
        r.ask(ApiKey.LIST_PARTITION_REASSIGNMENTS, topics=rows, timeout_ms=5000)
        r.ask(ApiKey.LIST_PARTITION_REASSIGNMENTS, topics=None, timeout_ms=5000)

    def configs(self) -> None:
        """Settings seen and changed."""
        r = self.r
        kinds = ((2, "acl-open"), (2, "acl-missing"), (32, "acl-open"), (4, "1"), (4, ""), (8, "1"))
        kinds += ((16, "acl-metrics"),)
        wanted = ["retention.ms", "log.retention.ms", "consumer.session.timeout.ms", "metrics"]
        r.ask(
            ApiKey.DESCRIBE_CONFIGS,
            resources=[
                {"resource_type": kind, "resource_name": name, "configuration_keys": wanted}
                for kind, name in kinds
            ],
        )
        change = {
            2: ("retention.ms", "1000000"),
            4: ("log.retention.ms", "1000000"),
            8: ("root", "INFO"),
            16: ("interval.ms", "1000"),
            32: ("consumer.session.timeout.ms", "50000"),
        }
        rows = [
            {
                "resource_type": kind,
                "resource_name": name,
                "configs": [{"name": change[kind][0], "value": change[kind][1]}],
            }
            for kind, name in kinds
        ]
        for row in rows:
            r.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, resources=[row], validate_only=True)
            if row["resource_type"] != 8:
                r.ask(ApiKey.ALTER_CONFIGS, resources=[row], validate_only=True)
        r.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, resources=rows, validate_only=True)
        r.ask_all(ApiKey.LIST_CONFIG_RESOURCES, resource_types=[])

    def cluster(self) -> None:
        """The cluster itself, and the access control lists."""
        r = self.r
        r.ask_all(ApiKey.DESCRIBE_CLUSTER, include_cluster_authorized_operations=True)
        r.ask_all(ApiKey.DESCRIBE_LOG_DIRS, topics=[])
        r.ask_all(ApiKey.DESCRIBE_ACLS, **{**ANY_FILTER, "host_filter": "none"})
        row = creation(TOPIC, "", Op.READ)
        r.ask_all(ApiKey.CREATE_ACLS, creations=[row])
        r.ask_all(ApiKey.DELETE_ACLS, filters=[{**ANY_FILTER, "host_filter": "none"}])
        metadata = [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
        for mask in ("high_watermark", "leader_epoch", "log_end_offset"):
            r.masks[mask] = lambda v: "<n>" if v > 0 else v
        r.ask(ApiKey.DESCRIBE_QUORUM, 2, topics=metadata)
        r.masks.clear()
        r.ask(ApiKey.UNREGISTER_BROKER, broker_id=77)
        for version in (0, 1, 2):
            update = {"feature": "metadata.version", "max_version_level": 99, "upgrade_type": 1}
            r.ask(ApiKey.UPDATE_FEATURES, version, feature_updates=[update], timeout_ms=5000)


def guest(host: Recorder, stranger: Recorder) -> None:
    """Every question in every state of rights."""
    ids = {name: host.create(name, 2) for name in NAMES}
    host.create("acl-closed2")
    prepare_groups(host, ids)
    asking = Guest(stranger, ids)
    for state, rows in states():
        grant(host, rows)
        asking.ask_everything(state)
        settle_topics(host)
    grant(host, [])


def controller_listener(host: Recorder, stranger: Recorder) -> None:
    """The same of a controller's listener: ``stranger`` asks there."""
    topic_id = {"topic_id": host.create("acl-controller")}
    host.settle()
    for state, rows in states():
        if "topic" in state or "cluster" in state or state == "nothing":
            rows = [
                {**row, "resource_name": "acl-controller"} if row["resource_type"] == TOPIC else row
                for row in rows
            ]
            grant(host, rows)
            stranger.note("the guest may", state)
            ask_controller(stranger, topic_id["topic_id"])
    grant(host, [])


def ask_controller(r: Recorder, topic_id: str) -> None:
    """What a controller answers."""
    r.ask_all(
        ApiKey.DESCRIBE_CLUSTER, 1, endpoint_type=2, include_cluster_authorized_operations=True
    )
    one = {"num_partitions": 1, "replication_factor": 1}
    rows = [{"name": name, **one} for name in ("acl-controller", "acl-new")]
    r.ask(ApiKey.CREATE_TOPICS, topics=rows, validate_only=True, timeout_ms=5000)
    rows = [{"name": "acl-missing"}, {"name": None, "topic_id": UNKNOWN_ID}]
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=rows, timeout_ms=5000)
    rows = [{"name": "acl-controller", "count": 9}]
    r.ask(ApiKey.CREATE_PARTITIONS, topics=rows, validate_only=True, timeout_ms=5000)
    wanted = {"configuration_keys": ["retention.ms", "log.retention.ms"]}
    for kind, name in ((2, "acl-controller"), (32, "acl-group"), (4, "1"), (16, "acl-metrics")):
        rows = [{"resource_type": kind, "resource_name": name, **wanted}]
        r.ask(ApiKey.DESCRIBE_CONFIGS, resources=rows)
    change = {"configs": [{"name": "retention.ms", "value": "1000000"}]}
    rows = [{"resource_type": 2, "resource_name": "acl-controller", **change}]
    r.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, resources=rows, validate_only=True)
    r.ask(ApiKey.ALTER_CONFIGS, resources=rows, validate_only=True)
    partitions = [{"topic": "acl-controller", "partitions": [0]}]
    r.ask(ApiKey.ELECT_LEADERS, topic_partitions=partitions, timeout_ms=5000)
    rows = [{"name": "acl-controller", "partitions": [{"partition_index": 0, "replicas": None}]}]
    r.ask(ApiKey.ALTER_PARTITION_REASSIGNMENTS, topics=rows, timeout_ms=5000)
    r.ask(ApiKey.LIST_PARTITION_REASSIGNMENTS, topics=None, timeout_ms=5000)
    r.ask(ApiKey.UNREGISTER_BROKER, broker_id=77)
    r.ask(ApiKey.DESCRIBE_ACLS, **{**ANY_FILTER, "host_filter": "none"})
    r.ask(ApiKey.CREATE_ACLS, creations=[creation(TOPIC, "", Op.READ)])
    r.ask(ApiKey.DELETE_ACLS, filters=[{**ANY_FILTER, "host_filter": "none"}])
    r.ask(ApiKey.BROKER_HEARTBEAT, 1, broker_id=77, broker_epoch=7, current_metadata_offset=1)
    r.ask(ApiKey.ASSIGN_REPLICAS_TO_DIRS, broker_id=77, broker_epoch=7, directories=[])
    r.ask(ApiKey.ALLOCATE_PRODUCER_IDS, broker_id=77, broker_epoch=7)
    r.ask(ApiKey.VOTE, 0, cluster_id="other", topics=[])
    r.ask(ApiKey.FETCH_SNAPSHOT, 0, cluster_id="other", replica_id=-1, max_bytes=10, topics=[])


def patterns(host: Recorder, stranger: Recorder) -> None:
    """A member that subscribes by pattern gets the topics that it may describe."""
    ids = {name: host.create(name, 2) for name in ("acl-re-open", "acl-re-closed")}
    rights = [creation(GROUP, "acl-re", Op.READ), creation(TOPIC, "acl-re-open", Op.READ)]
    grant(host, rights)
    member = {"group_id": "acl-re", "member_id": "acl-re-member"}
    joining = {
        "member_epoch": 0,
        "subscribed_topic_regex": "acl-re-.*",
        "topic_partitions": [],
        "rebalance_timeout_ms": 60_000,
    }
    deadline = time.monotonic() + 20
    host.quiet(ApiKey.FIND_COORDINATOR, 4, coordinator_keys=["acl-re"], key_type=0)
    reply = stranger.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, **member, **joining)
    while reply.error_code in (14, 15, 16):
        assert time.monotonic() < deadline, reply
        time.sleep(0.1)
        reply = stranger.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, **member, **joining)
    assigned: dict[str, Any] = {}
    while not assigned.get("topic_partitions"):
        assert (reply.error_code, time.monotonic() < deadline) == (0, True), reply
        epoch = {"member_epoch": reply.member_epoch}
        assigned = reply.to_dict()["assignment"] or {}
        time.sleep(0.1)
        reply = stranger.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, **member, **epoch)
    names = {topic_id: name for name, topic_id in ids.items()}
    got = sorted((names[t["topic_id"]], t["partitions"]) for t in assigned["topic_partitions"])
    stranger.note("assigned", got)
    stranger.ask(ApiKey.CONSUMER_GROUP_DESCRIBE, group_ids=["acl-re"])
    grant(host, [])


def settle_topics(host: Recorder) -> None:
    """Delete what the guest has made, once it is there."""
    names = [f"acl-auto-{version}" for version in (1, 4, 13)]
    host.settle()
    host.quiet(ApiKey.DELETE_TOPICS, 5, topic_names=names, timeout_ms=5000)
    host.settle()


def prepare_groups(host: Recorder, ids: dict[str, str]) -> None:
    """Offsets of both topics in both groups, and a consumer group with a member."""
    deadline = time.monotonic() + 30
    part = {"partition_index": 0, "committed_offset": 4, "committed_metadata": "m"}
    rows = [{"name": name, "partitions": [part]} for name in NAMES]
    fields = {"generation_id_or_member_epoch": -1, "member_id": "", "topics": rows}
    for group in NAMES:
        while True:
            host.quiet(ApiKey.FIND_COORDINATOR, 4, coordinator_keys=[group], key_type=0)
            reply = host.quiet(ApiKey.OFFSET_COMMIT, 8, group_id=group, **fields)
            if all(p.error_code == 0 for topic in reply.topics for p in topic.partitions):
                break
            assert time.monotonic() < deadline, reply
            time.sleep(0.1)
    while host.quiet(ApiKey.INIT_PRODUCER_ID, 4, transactional_id=None).error_code:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    member = {"group_id": "acl-consumer", "member_id": "acl-member", "member_epoch": 0}
    joined = host.quiet(
        ApiKey.CONSUMER_GROUP_HEARTBEAT,
        **member,
        subscribed_topic_names=list(NAMES),
        topic_partitions=[],
        rebalance_timeout_ms=60_000,
    )
    assert joined.error_code == 0, joined
