"""Questions about topics, configs and the cluster, put to both brokers."""

from __future__ import annotations

import re
from typing import Any

from kafka_py.protocol.registry import ApiKey
from tests.oracle.raw import UNKNOWN_ID, Recorder

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def api_versions(r: Recorder) -> None:
    """What is answered besides the list itself, which has tests of its own."""
    r.masks.update(dict.fromkeys(("api_keys", "supported_features"), lambda v: bool(v)))
    names = {"client_software_name": "oracle", "client_software_version": "1.0"}
    r.ask_all(ApiKey.API_VERSIONS, 0, 4, **names)
    for name in ("", " ", "a b", "-a", "a" * 300):
        r.ask(ApiKey.API_VERSIONS, 3, **{**names, "client_software_name": name})


def metadata(r: Recorder) -> None:
    """Known, unknown, ill-named; by name and by id; with authorized operations."""
    topic_id = r.create("metadata-a", 3)
    more = {
        "allow_auto_topic_creation": False,
        "include_cluster_authorized_operations": True,
        "include_topic_authorized_operations": True,
    }
    r.ask_all(ApiKey.METADATA, topics=[{"name": "metadata-a"}], **more)
    # Before version 4 asking creates.
    r.ask_all(ApiKey.METADATA, 4, topics=[{"name": "metadata-nope"}], **more)
    r.ask_all(ApiKey.METADATA, 1, topics=[], **more)
    for name in ("", ".", "..", "a/b", "a" * 250, "ä"):
        r.ask(ApiKey.METADATA, 9, topics=[{"name": name}], **more)
    r.ask_all(ApiKey.METADATA, 12, topics=[{"topic_id": topic_id, "name": None}], **more)
    r.ask_all(ApiKey.METADATA, 12, topics=[{"topic_id": UNKNOWN_ID, "name": None}], **more)
    r.ask(ApiKey.METADATA, 12, topics=[{"name": "metadata-a"}, {"name": "metadata-a"}], **more)


def auto_creation(r: Recorder) -> None:
    """A topic that is asked for by name comes into being, with the broker's defaults."""
    r.ask(ApiKey.METADATA, 12, topics=[{"name": "metadata-auto"}], allow_auto_topic_creation=True)
    r.create("metadata-auto", 2)
    r.ask(ApiKey.METADATA, 12, topics=[{"name": "metadata-auto"}])
    r.ask(ApiKey.METADATA, 12, topics=[{"name": "not/valid"}], allow_auto_topic_creation=True)


def create_topics(r: Recorder) -> None:
    """Good ones in every version, and every way to be refused."""
    one = {"num_partitions": 2, "replication_factor": 1}
    for version in range(2, 8):
        configs = [{"name": "retention.ms", "value": "1000"}, {"name": "flush.ms", "value": "5"}]
        row = {"name": f"create-v{version}", **one, "configs": configs}
        r.ask(ApiKey.CREATE_TOPICS, version, topics=[row])
        r.ask(ApiKey.CREATE_TOPICS, version, topics=[row])
        r.ask(
            ApiKey.CREATE_TOPICS,
            version,
            topics=[{**row, "name": f"check-v{version}"}],
            validate_only=True,
        )
    for name in ("", ".", "..", "a/b", "a" * 250, "a" * 249, "ä", "__cluster_metadata"):
        r.ask(ApiKey.CREATE_TOPICS, 7, topics=[{"name": name, **one}], validate_only=True)
    shapes: list[dict[str, Any]] = [
        {"num_partitions": 0, "replication_factor": 1},
        {"num_partitions": -1, "replication_factor": -1},
        {"num_partitions": -2, "replication_factor": 1},
        {"num_partitions": 1, "replication_factor": 0},
        {"num_partitions": 1, "replication_factor": 2},
        {"num_partitions": 1, "replication_factor": -2},
    ]
    for assignments in (
        [[1]],
        [[1], [1]],
        [[99]],
        [[]],
        [[1, 1]],
        [[1], [1, 1]],
    ):
        rows = [{"partition_index": i, "broker_ids": b} for i, b in enumerate(assignments)]
        shapes.append({"num_partitions": -1, "replication_factor": -1, "assignments": rows})
    rows = [{"partition_index": 1, "broker_ids": [1]}]
    shapes.append({"num_partitions": -1, "replication_factor": -1, "assignments": rows})
    rows = [{"partition_index": 0, "broker_ids": [1]}]
    shapes.append({"num_partitions": 1, "replication_factor": 1, "assignments": rows})
    for shape in shapes:
        r.ask(
            ApiKey.CREATE_TOPICS, 7, topics=[{"name": "create-shape", **shape}], validate_only=True
        )
    for name, value in (
        ("retention.ms", "soon"),
        ("retention.ms", "-2"),
        ("no.such.config", "1"),
        ("cleanup.policy", "shred"),
        ("cleanup.policy", "compact,delete"),
        ("cleanup.policy", ""),
        ("segment.bytes", "13"),
        ("compression.type", "rar"),
        ("min.insync.replicas", "0"),
        ("retention.ms", None),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "99999999999"),
        ("unclean.leader.election.enable", "maybe"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("leader.replication.throttled.replicas", "x"),
        ("remote.storage.enable", "true"),
        ("compression.gzip.level", "0"),
        ("segment.bytes", " 2000000 "),
    ):
        row = {"name": "create-config", **one, "configs": [{"name": name, "value": value}]}
        r.ask(ApiKey.CREATE_TOPICS, 7, topics=[row], validate_only=True)
    twice = [{"name": "create-twice", **one}, {"name": "create-twice", **one}]
    r.ask(ApiKey.CREATE_TOPICS, 7, topics=twice)
    collide = [{"name": "create.col_lide", **one}, {"name": "create_col.lide", **one}]
    r.ask(ApiKey.CREATE_TOPICS, 7, topics=collide)
    r.ask(ApiKey.CREATE_TOPICS, 7, topics=[{"name": "create_col.lide", **one}])
    r.ask(ApiKey.CREATE_TOPICS, 7, topics=[])


def delete_topics(r: Recorder) -> None:
    """By name, by id, unknown ones, the same twice."""
    for version in range(1, 6):
        r.create(f"delete-v{version}")
        r.ask(ApiKey.DELETE_TOPICS, version, topic_names=[f"delete-v{version}"], timeout_ms=9000)
        r.ask(
            ApiKey.DELETE_TOPICS,
            version,
            topic_names=[f"delete-v{version}", "nope"],
            timeout_ms=9000,
        )
    topic_id = r.create("delete-v6")
    by_id = [{"topic_id": topic_id, "name": None}]
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=by_id, timeout_ms=9000)
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=by_id, timeout_ms=9000)
    r.create("delete-name")
    twice = [{"name": "delete-name"}, {"name": "delete-name"}]
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=twice, timeout_ms=9000)
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=[{"name": "delete-name"}], timeout_ms=9000)
    r.ask(ApiKey.METADATA, 12, topics=[{"name": "delete-name"}], allow_auto_topic_creation=False)
    both_id = r.create("delete-both")
    both = [{"name": "delete-both", "topic_id": both_id}]
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=both, timeout_ms=9000)
    r.ask(ApiKey.DELETE_TOPICS, 6, topics=[{"name": ""}], timeout_ms=9000)


def create_partitions(r: Recorder) -> None:
    """More, as many, fewer; with assignments; of unknown topics."""
    for version in range(4):
        r.create(f"grow-v{version}", 1)
        rows = [{"name": f"grow-v{version}", "count": 3, "assignments": None}]
        r.ask(ApiKey.CREATE_PARTITIONS, version, topics=rows, timeout_ms=9000)
        r.ask(ApiKey.CREATE_PARTITIONS, version, topics=rows, timeout_ms=9000)
    for count, assignments in (
        (2, None),
        (0, None),
        (-1, None),
        (4, [[1]]),
        (5, [[1]]),
        (4, [[99]]),
        (4, [[]]),
        (4, [[1, 1]]),
        (2000000000, None),
    ):
        placed = assignments and [{"broker_ids": b} for b in assignments]
        rows = [{"name": "grow-v3", "count": count, "assignments": placed}]
        r.ask(ApiKey.CREATE_PARTITIONS, 3, topics=rows, timeout_ms=9000, validate_only=True)
    rows = [{"name": "grow-nope", "count": 3, "assignments": None}]
    r.ask(ApiKey.CREATE_PARTITIONS, 3, topics=rows, timeout_ms=9000)
    rows = [{"name": "grow-v3", "count": c, "assignments": None} for c in (5, 6)]
    r.ask(ApiKey.CREATE_PARTITIONS, 3, topics=rows, timeout_ms=9000)


def _configs(r: Recorder, kind: int, name: str, keys: list[str] | None, **more: Any) -> None:
    row = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    r.ask_all(ApiKey.DESCRIBE_CONFIGS, resources=[row], include_synonyms=True, **more)


def describe_configs(r: Recorder) -> None:
    """Of a topic, all and some; of what does not exist."""
    r.create("describe-a", 1, retention_ms="12345", cleanup_policy="compact")
    _configs(r, TOPIC, "describe-a", None, include_documentation=True)
    _configs(r, TOPIC, "describe-a", ["retention.ms", "segment.bytes", "no.such.config"])
    _configs(r, TOPIC, "describe-a", [])
    for kind, name in (
        (TOPIC, "describe-nope"),
        (TOPIC, "a/b"),
        (TOPIC, ""),
        (BROKER, "99"),
        (BROKER, "x"),
        (BROKER_LOGGER, "99"),
        (CLIENT_METRICS, "cm"),
        (GROUP, "g"),
        (3, "x"),
        (0, "x"),
    ):
        row = {"resource_type": kind, "resource_name": name, "configuration_keys": None}
        r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])


def describe_broker_configs(r: Recorder) -> None:
    """Every config of the broker: name, value, type, source, synonyms, read-only, sensitive."""
    own = {"listeners", "controller.quorum.voters", "log.dirs", "log.dir", "advertised.listeners"}
    r.masks["value"] = lambda v: re.sub(r":\d{4,5}\b", ":<port>", v) if v and ":" in v else v
    for name in ("1", ""):
        row = {"resource_type": BROKER, "resource_name": name, "configuration_keys": None}
        reply = r.quiet(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row], include_synonyms=True)
        found = {
            c.name: {k: r._mask(k, v) for k, v in c.to_dict(reveal=True).items()}
            for c in reply.results[0].configs
            if c.name not in own
        }
        r.note(f"DescribeConfigs of broker {name!r}", found)
    keys = ["num.partitions", "log.retention.ms", "no.such.config", "log.segment.bytes"]
    row = {"resource_type": BROKER, "resource_name": "1", "configuration_keys": keys}
    r.ask_all(ApiKey.DESCRIBE_CONFIGS, resources=[row], include_synonyms=True)


def _alter(r: Recorder, kind: int, name: str, ops: list[tuple[str, int, str | None]], **m: Any):
    rows = [{"name": n, "config_operation": op, "value": v} for n, op, v in ops]
    resource = {"resource_type": kind, "resource_name": name, "configs": rows}
    r.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, m.pop("version", 1), resources=[resource], **m)
    r.settle()


def incremental_alter_configs(r: Recorder) -> None:
    """Set, delete, append, subtract; refused values; what a describe says after it."""
    r.create("alter-a", 1)
    topic = "alter-a"
    for version in (0, 1):
        _alter(r, TOPIC, topic, [("retention.ms", SET, "777")], version=version)
    keys = ["retention.ms", "cleanup.policy", "flush.ms"]
    tries: list[list[tuple[str, int, str | None]]] = [
        [("cleanup.policy", APPEND, "compact")],
        [("cleanup.policy", APPEND, "compact")],
        [("cleanup.policy", SUBTRACT, "delete")],
        [("retention.ms", APPEND, "1")],
        [("retention.ms", DELETE, None)],
        [("retention.ms", DELETE, None)],
        [("retention.ms", SET, "soon")],
        [("retention.ms", SET, None)],
        [("nope", SET, "1")],
        [("nope", DELETE, None)],
        [("flush.ms", SET, "9"), ("flush.ms", SET, "8")],
        [("flush.ms", SET, "9"), ("retention.ms", SET, "x")],
        [("flush.ms", 9, "1")],
        [("segment.bytes", SET, "1")],
        [("", SET, "1")],
        [],
    ]
    for ops in tries:
        _alter(r, TOPIC, topic, ops)
        row = {"resource_type": TOPIC, "resource_name": topic, "configuration_keys": keys}
        r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row], include_synonyms=True)
    _alter(r, TOPIC, topic, [("retention.ms", SET, "5")], validate_only=True)
    for kind, name in (
        (TOPIC, "alter-nope"),
        (TOPIC, "a/b"),
        (BROKER, "99"),
        (BROKER, "x"),
        (0, "x"),
        (3, "x"),
    ):
        _alter(r, kind, name, [("retention.ms", SET, "1")])
    rows = [{"name": "flush.ms", "config_operation": SET, "value": "3"}]
    resource = {"resource_type": TOPIC, "resource_name": topic, "configs": rows}
    r.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, resources=[resource, resource])


def alter_broker_configs(r: Recorder) -> None:
    """Of one broker and of all: taken, refused because read-only, refused because wrong."""
    for name in ("1", ""):
        for key, value in (
            ("log.retention.ms", "86400001"),
            ("message.max.bytes", "2000000"),
            ("num.partitions", "7"),
            ("node.id", "3"),
            ("listeners", "PLAINTEXT://:1"),
            ("log.retention.ms", "soon"),
            ("no.such.config", "1"),
            ("log.cleaner.threads", "2"),
        ):
            _alter(r, BROKER, name, [(key, SET, value)])
        keys = ["log.retention.ms", "message.max.bytes"]
        row = {"resource_type": BROKER, "resource_name": name, "configuration_keys": keys}
        r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row], include_synonyms=True)
    r.create("alter-inherits", 1)
    keys = ["retention.ms", "max.message.bytes"]
    row = {"resource_type": TOPIC, "resource_name": "alter-inherits", "configuration_keys": keys}
    r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row], include_synonyms=True)
    for name in ("1", ""):
        for key in ("log.retention.ms", "message.max.bytes"):
            _alter(r, BROKER, name, [(key, DELETE, None)])
    r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row], include_synonyms=True)


def alter_configs(r: Recorder) -> None:
    """The old way: what is not named goes back to its default."""
    r.create("replace-a", 1, retention_ms="5", flush_ms="6")
    row = {"resource_type": TOPIC, "resource_name": "replace-a", "configuration_keys": None}
    for version in (0, 1, 2):
        rows = [{"name": "retention.ms", "value": str(version + 70)}]
        resource = {"resource_type": TOPIC, "resource_name": "replace-a", "configs": rows}
        r.ask(ApiKey.ALTER_CONFIGS, version, resources=[resource])
        r.settle()
        r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])
    for name, value in (("retention.ms", "x"), ("nope", "1"), ("retention.ms", None)):
        resource["configs"] = [{"name": name, "value": value}]
        r.ask(ApiKey.ALTER_CONFIGS, 2, resources=[resource])
    resource["configs"] = [{"name": "flush.ms", "value": "1"}]
    r.ask(ApiKey.ALTER_CONFIGS, 2, resources=[resource], validate_only=True)
    r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])
    resource["resource_name"] = "replace-nope"
    r.ask(ApiKey.ALTER_CONFIGS, 2, resources=[resource])


def cluster(r: Recorder) -> None:
    """DescribeCluster, DescribeQuorum, UpdateFeatures, ListConfigResources."""
    r.ask_all(ApiKey.DESCRIBE_CLUSTER, include_cluster_authorized_operations=True)
    for kind in (2, 3):
        r.ask(ApiKey.DESCRIBE_CLUSTER, 2, endpoint_type=kind, include_fenced_brokers=True)
    r.masks.update(dict.fromkeys(("high_watermark", "log_end_offset", "leader_epoch"), _offset))
    for topic, partition in (("__cluster_metadata", 0), ("__cluster_metadata", 1), ("x", 0)):
        rows = [{"topic_name": topic, "partitions": [{"partition_index": partition}]}]
        r.ask_all(ApiKey.DESCRIBE_QUORUM, topics=rows)
    for feature, level, kind in (
        ("no.such.feature", 1, 1),
        ("metadata.version", 1, 3),
        ("metadata.version", 9999, 1),
        ("metadata.version", 0, 1),
        ("group.version", 1, 1),
        ("", 1, 1),
    ):
        row = {"feature": feature, "max_version_level": level, "upgrade_type": kind}
        row["allow_downgrade"] = kind != 1
        r.ask_all(ApiKey.UPDATE_FEATURES, feature_updates=[row], validate_only=True)
    r.create("list-config", 1, retention_ms="5")
    r.settle()
    for kinds in ([], [TOPIC], [BROKER], [GROUP, CLIENT_METRICS], [99]):
        reply = r.quiet(ApiKey.LIST_CONFIG_RESOURCES, 1, resource_types=kinds)
        names = sorted((c.resource_type, c.resource_name) for c in reply.config_resources)
        kept = [n for n in names if n[0] != TOPIC or n[1] == "list-config"]
        r.note(f"ListConfigResources {kinds}", [reply.error_code, [list(n) for n in kept]])
    r.ask(ApiKey.LIST_CONFIG_RESOURCES, 0)


def _offset(value: int) -> object:
    return "<offset>" if value >= 0 else value


def describe_topic_partitions(r: Recorder) -> None:
    """Pages of partitions, cursors, unknown topics."""
    r.create("pages-a", 5)
    r.create("pages-b", 2)
    ask = ApiKey.DESCRIBE_TOPIC_PARTITIONS
    both = [{"name": "pages-b"}, {"name": "pages-a"}]
    r.ask(ask, topics=both)
    r.ask(ask, topics=both, response_partition_limit=3)
    for topic, partition in (
        ("pages-a", 3),
        ("pages-a", 99),
        ("pages-b", 0),
        ("pages-z", 0),
        ("pages-a", -1),
    ):
        cursor = {"topic_name": topic, "partition_index": partition}
        r.ask(ask, topics=both, response_partition_limit=3, cursor=cursor)
    r.ask(ask, topics=[{"name": "pages-nope"}, {"name": "a/b"}, {"name": "pages-b"}])
    r.ask(ask, topics=both, response_partition_limit=0)
    r.ask(ask, topics=both, response_partition_limit=-1)


SCENARIOS = (
    api_versions,
    metadata,
    auto_creation,
    create_topics,
    delete_topics,
    create_partitions,
    describe_configs,
    describe_broker_configs,
    incremental_alter_configs,
    alter_broker_configs,
    alter_configs,
    cluster,
    describe_topic_partitions,
)
