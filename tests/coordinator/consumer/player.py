"""Commands for scripted consumer groups, and what comes of them as lines of text.

    topic NAME PARTITIONS, grow NAME PARTITIONS, drop NAME, broker ID RACK, config KEY VALUE
    join MEMBER WORD..., beat MEMBER WORD..., leave MEMBER WORD..., away MEMBER WORD...
    wait MS, describe, restart, compact, commit MEMBER EPOCH TOPIC PARTITION, fetch MEMBER EPOCH

Words are ``names=a,b regex=a.* timeout=5000 instance=i rack=r assignor=range own=a:0,1;b:2
epoch=3 version=0 group=h``; ``names=``, ``own=`` and ``regex=`` are empty ones. A member joins
with ``names=t`` unless told otherwise, and beats with the epoch it knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka_py.coordinator.consumer.group import ConsumerGroup
from kafka_py.coordinator.consumer.member import Owned
from kafka_py.protocol import records_group as r
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from tests.coordinator.consumer.driver import SETTINGS, ShardDriver, compacted


class Player:
    """A shard to play scripts on. ``set KEY VALUE`` lines at its head are broker settings."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.driver = ShardDriver(settings)
        self.driver.on_record = self._record
        self.epochs: dict[str, int] = {}
        self.names: dict[bytes, str] = {}
        self.out: list[str] = []

    def play(self, line: str) -> str:
        """Run one command; what happened."""
        command, *words = line.split()
        self.out = []
        getattr(self, f"do_{command}")(*words)
        return "\n".join(self.out)

    # -- commands ------------------------------------------------------------------------------

    def do_topic(self, name: str, partitions: str, *replicas: str) -> None:
        """Create a topic."""
        made = self.driver.make_topic(
            name, int(partitions), replicas=tuple(map(int, replicas)) or (0,)
        )
        self.names[made] = name

    def do_grow(self, name: str, partitions: str) -> None:
        """Give a topic more partitions."""
        have = len(self.driver.image.topics[name].partitions)
        self.driver.add_partitions(name, have, int(partitions))

    def do_drop(self, name: str) -> None:
        """Delete a topic."""
        self.driver.remove_topic(name)

    def do_broker(self, broker_id: str, rack: str) -> None:
        """A broker with a rack."""
        self.driver.register_broker(int(broker_id), rack)

    def do_config(self, key: str, value: str) -> None:
        """A setting of the group g."""
        self.driver.set_group_config("g", key, value)

    def do_set(self, key: str, value: str) -> None:
        """A setting of the broker."""
        kind = type(SETTINGS[key])
        parsed: Any = tuple(value.split(",")) if kind is tuple else kind(value)
        self.driver.settings[key] = parsed

    def do_join(self, member_id: str, *words: str) -> None:
        """Join with everything that a first request has."""
        given = self._fields(words)
        if "subscribed_topic_names" not in given and "subscribed_topic_regex" not in given:
            given["subscribed_topic_names"] = ["t"]
        given = {"rebalance_timeout_ms": 10_000, "topic_partitions": [], **given}
        self._ask(member_id, {"member_epoch": 0, **given})

    def do_beat(self, member_id: str, *words: str) -> None:
        """Heartbeat with what is given."""
        self._ask(member_id, {"member_epoch": self.epochs.get(member_id, 0), **self._fields(words)})

    def do_leave(self, member_id: str, *words: str) -> None:
        """Leave for good."""
        self._ask(member_id, {"member_epoch": -1, **self._fields(words)})

    def do_away(self, member_id: str, *words: str) -> None:
        """Leave as a static member that means to come back."""
        self._ask(member_id, {"member_epoch": -2, **self._fields(words)})

    def do_wait(self, duration_ms: str) -> None:
        """Let time pass."""
        before = len(self.driver.log)
        self.driver.advance(int(duration_ms))
        if len(self.driver.log) != before:
            self._group()

    def do_restart(self) -> None:
        """Another coordinator loads the log."""
        self.driver.restart()
        self._group()

    def do_compact(self) -> None:
        """The log is cleaned, then another coordinator loads it."""
        self.driver.log = compacted(self.driver.log)
        self.do_restart()

    def do_describe(self, *group_ids: str) -> None:
        """ConsumerGroupDescribe."""
        request = ConsumerGroupDescribeRequest(group_ids=list(group_ids) or ["g"])
        for group in self.driver.ask(request).response.groups:
            if group.error_code:
                self.out.append(
                    f"{group.group_id}: {ErrorCode(group.error_code).name} {group.error_message}"
                )
                continue
            self.out.append(
                f"{group.group_id}: {group.group_state} epoch {group.group_epoch} assignment epoch "
                f"{group.assignment_epoch} assignor {group.assignor_name}"
            )
            for m in group.members:
                owned = " ".join(
                    f"{row.topic_name}:{_list(row.partitions)}"
                    for row in m.assignment.topic_partitions
                )
                target = " ".join(
                    f"{row.topic_name}:{_list(row.partitions)}"
                    for row in m.target_assignment.topic_partitions
                )
                self.out.append(
                    f"  {m.member_id} instance={m.instance_id} rack={m.rack_id} "
                    f"epoch={m.member_epoch} client={m.client_id} host={m.client_host} "
                    f"names={_list(m.subscribed_topic_names)} regex={m.subscribed_topic_regex!r} "
                    f"[{owned}] target [{target}] type={m.member_type}"
                )

    def do_commit(self, member_id: str, epoch: str, topic: str, partition: str) -> None:
        """Would this member's commit be taken?"""
        group = self.driver.shard.groups["g"]
        error = group.validate_offset_commit(
            member_id, None, int(epoch), transactional=False, api_version=9
        )
        if error is ErrorCode.NONE:
            topic_id = self.driver.image.topics[topic].id
            error = group.validate_partition_commit(member_id, int(epoch), topic_id, int(partition))
        self.out.append(error.name)

    def do_fetch(self, member_id: str, epoch: str) -> None:
        """Might this member fetch offsets?"""
        group = self.driver.shard.groups["g"]
        self.out.append(group.validate_offset_fetch(member_id, int(epoch)).name)

    # -- requests ------------------------------------------------------------------------------

    def _fields(self, words: Iterable[str]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for word in words:
            key, _, value = word.partition("=")
            if key == "names":
                given["subscribed_topic_names"] = list(filter(None, value.split(",")))
            elif key == "own":
                given["topic_partitions"] = [
                    ConsumerGroupHeartbeatRequest.TopicPartitions(
                        topic_id=next(i for i, n in self.names.items() if n == name),
                        partitions=[int(p) for p in partitions.split(",")],
                    )
                    for name, _, partitions in (
                        part.partition(":") for part in filter(None, value.split(";"))
                    )
                ]
            elif key in ("timeout", "epoch"):
                field = {"timeout": "rebalance_timeout_ms", "epoch": "member_epoch"}[key]
                given[field] = int(value)
            else:
                field = {
                    "regex": "subscribed_topic_regex",
                    "instance": "instance_id",
                    "rack": "rack_id",
                    "assignor": "server_assignor",
                    "group": "group_id",
                }.get(key, key)
                given[field] = value
        return given

    def _ask(self, member_id: str, fields: dict[str, Any]) -> None:
        version = int(fields.pop("version", 1))
        fields = {"group_id": "g", **fields}
        member_id = "" if member_id == "-" else member_id
        request = ConsumerGroupHeartbeatRequest(member_id=member_id, **fields)
        response = self.driver.ask(request, f"client-{member_id}", version).response
        self._answer(member_id, response)
        if not response.error_code:
            self.epochs[response.member_id] = response.member_epoch
        self._group(fields["group_id"])

    # -- text ----------------------------------------------------------------------------------

    def _answer(self, member_id: str, response: ConsumerGroupHeartbeatResponse) -> None:
        if response.error_code:
            error = ErrorCode(response.error_code).name
            self.out.append(f"{member_id}: {error} {response.error_message}")
            return
        line = f"{response.member_id}: epoch {response.member_epoch}"
        if response.heartbeat_interval_ms:
            line += f", again in {response.heartbeat_interval_ms} ms"
        if response.assignment is not None:
            line += f", owns [{self._rows(response.assignment.topic_partitions)}]"
        self.out.append(line)

    def _rows(self, rows: Iterable[Any]) -> str:
        texts = []
        for row in rows:
            epochs = getattr(row, "assignment_epochs", None)
            partitions = (
                [f"{p}@{e}" for p, e in zip(row.partitions, epochs, strict=True)]
                if epochs
                else list(row.partitions)
            )
            texts.append(f"{self.names[row.topic_id]}:{_list(partitions)}")
        return " ".join(sorted(texts))

    def _owned(self, owned: Owned) -> str:
        return " ".join(
            sorted(
                f"{self.names[topic_id]}:{_list(f'{p}@{e}' for p, e in sorted(partitions.items()))}"
                for topic_id, partitions in owned.items()
            )
        )

    def _record(self, key: Any, value: Any) -> None:
        name = type(key).__name__.removeprefix("ConsumerGroup").removesuffix("Key")
        what = getattr(key, "member_id", "") or getattr(key, "regular_expression", "")
        head = f"record {name}" + (f" {what}" if what else "")
        self.out.append(f"{head}: {'tombstone' if value is None else self._value(value)}")

    def _value(self, value: Any) -> str:
        match value:
            case r.ConsumerGroupMetadataValue():
                return f"epoch {value.epoch} hash {value.metadata_hash}"
            case r.ConsumerGroupMemberMetadataValue():
                return (
                    f"instance={value.instance_id} rack={value.rack_id} client={value.client_id} "
                    f"host={value.client_host} names={_list(value.subscribed_topic_names)} "
                    f"regex={value.subscribed_topic_regex!r} timeout={value.rebalance_timeout_ms} "
                    f"assignor={value.server_assignor} classic={value.classic_member_metadata}"
                )
            case r.ConsumerGroupTargetAssignmentMetadataValue():
                return f"epoch {value.assignment_epoch} at {value.assignment_timestamp}"
            case r.ConsumerGroupTargetAssignmentMemberValue():
                return f"[{self._rows(value.topic_partitions)}]"
            case r.ConsumerGroupCurrentMemberAssignmentValue():
                return (
                    f"epoch {value.member_epoch} before {value.previous_member_epoch} "
                    f"state {value.state} [{self._rows(value.assigned_partitions)}] "
                    f"revoking [{self._rows(value.partitions_pending_revocation)}]"
                )
            case r.ConsumerGroupRegularExpressionValue():
                return f"{_list(value.topics)} version {value.version} at {value.timestamp}"
        return repr(value)

    def _group(self, group_id: str = "g") -> None:
        group = self.driver.shard.groups.get(group_id)
        if not isinstance(group, ConsumerGroup):
            self.out.append(f"{group_id} is " + (f"a {group.kind} group" if group else "not there"))
            return
        members = ", ".join(
            f"{m.member_id}@{m.epoch} {m.state.name} [{self._owned(m.assigned)}]"
            + (f" revoking [{self._owned(m.pending)}]" if m.pending else "")
            for m in group.members.values()
        )
        self.out.append(
            f"{group_id} is {group.state} epoch {group.epoch} target {group.target_epoch}: "
            f"{members}"
        )


def _list(items: Iterable[Any]) -> str:
    return ",".join(map(str, items))
