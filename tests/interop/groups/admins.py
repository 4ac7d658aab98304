"""The admin clients' group calls behind one interface; errors are the protocol's codes.

A client says what it lacks; what it has, it must do as Apache's broker lets it do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.client import Driven
from tests.interop.drivers import FranzClient, JavaClient
from tests.interop.groups.events import Place
from tests.interop.groups.processes import JAVA, command_of, java_command

Offsets = Mapping[Place, tuple[int, str]]


@dataclass(frozen=True)
class Described:
    """A group as an admin client describes it. Of a member: client id -> (instance, partitions)."""

    code: int
    state: str = ""
    assignor: str = ""
    members: Mapping[str, tuple[str | None, frozenset[Place]]] | None = None


class GroupAdmin:
    """The interface. Codes are Kafka's error codes, 0 is none."""

    name = "?"
    removes_static = True
    removes_all = False
    #: What it makes of a group that is not there: librdkafka makes a dead one.
    describes_missing = Described(69)

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None."""
        return None

    def __init__(self, bootstrap: str) -> None:
        """Bound to one node."""
        self.bootstrap = bootstrap

    def groups(
        self, states: Sequence[str] = (), types: Sequence[str] = ()
    ) -> dict[str, tuple[str, str | None]]:
        """Group -> (state, type where it tells)."""
        raise AssertionError("made through a subclass")

    def describe(self, group: str, kind: str) -> Described:
        """``kind``: classic or consumer, for clients that have a call for each."""
        raise AssertionError("made through a subclass")

    def offsets(self, group: str) -> dict[Place, tuple[int, str]]:
        """All committed offsets, with metadata."""
        raise AssertionError("made through a subclass")

    def alter(self, group: str, offsets: Offsets) -> dict[Place, int]:
        """The code for each partition."""
        raise AssertionError("made through a subclass")

    def delete_offsets(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """The code for each partition; that of the group for all, if the group has one."""
        raise AssertionError("made through a subclass")

    def delete_groups(self, groups: Sequence[str]) -> dict[str, int]:
        """The code for each group."""
        raise AssertionError("made through a subclass")

    def remove_members(self, group: str, instances: Sequence[str] | None) -> dict[str, int]:
        """The code for each instance; None removes all members, with one code under ''."""
        raise AssertionError("made through a subclass")

    def close(self) -> None:
        """Free what it holds."""


class DrivenGroupAdmin(GroupAdmin):
    """An admin client of another language, in a process."""

    def __init__(self, bootstrap: str) -> None:
        """The process starts when it is first asked."""
        super().__init__(bootstrap)
        outer = self

        class Process(Driven):
            name = outer.name

            def command(self) -> Sequence[str]:
                return outer.command()

        self._driven = Process(bootstrap)

    def command(self) -> Sequence[str]:
        """The command line before the bootstrap address."""
        raise AssertionError("made through a subclass")

    def groups(
        self, states: Sequence[str] = (), types: Sequence[str] = ()
    ) -> dict[str, tuple[str, str | None]]:
        found = self._driven.call("groups", states=list(states), types=list(types))
        return {group: (state, kind) for group, (state, kind) in found.items()}

    def describe(self, group: str, kind: str) -> Described:
        node = self._driven.call("describe", groups=[group], kind=kind)[group]
        if node["code"]:
            return Described(node["code"])
        members = {
            client: (instance, frozenset((t, p) for t, p in places))
            for client, instance, places in node["members"]
        }
        return Described(0, node["state"], node["assignor"], members)

    def offsets(self, group: str) -> dict[Place, tuple[int, str]]:
        rows = self._driven.call("offsets", group=group)
        return {(t, p): (offset, metadata) for t, p, offset, metadata in rows}

    def alter(self, group: str, offsets: Offsets) -> dict[Place, int]:
        rows = [[t, p, offset, text] for (t, p), (offset, text) in offsets.items()]
        found = self._driven.call("alter", group=group, offsets=rows)
        return {(t, p): code for t, p, code in found}

    def delete_offsets(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        found = self._driven.call("delete_offsets", group=group, partitions=list(places))
        return {(t, p): code for t, p, code in found}

    def delete_groups(self, groups: Sequence[str]) -> dict[str, int]:
        return dict(self._driven.call("delete_groups", groups=list(groups)))

    def remove_members(self, group: str, instances: Sequence[str] | None) -> dict[str, int]:
        return dict(self._driven.call("remove_members", group=group, instances=instances))

    def close(self) -> None:
        self._driven.close()


class JavaGroupAdmin(DrivenGroupAdmin):
    """Apache's Admin."""

    name = "java"
    removes_all = True

    @classmethod
    def missing(cls) -> str | None:
        return JavaClient.missing()

    def command(self) -> Sequence[str]:
        return java_command(JAVA / "GroupAdmin.java", "GroupAdmin")


class FranzGroupAdmin(DrivenGroupAdmin):
    """franz-go's kadm."""

    name = "franz-go"

    @classmethod
    def missing(cls) -> str | None:
        return FranzClient.missing()

    def command(self) -> Sequence[str]:
        return [str(Path(command_of("franz-go")[0])), "groups"]


class ConfluentGroupAdmin(GroupAdmin):
    """librdkafka's admin. It has no call to remove members."""

    name = "librdkafka"
    removes_static = False
    describes_missing = Described(0, "Dead", "", {})

    @functools.cached_property
    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    @staticmethod
    def _code(work: Callable[[], Any]) -> int:
        from confluent_kafka import KafkaException

        try:
            work()
        except KafkaException as e:
            code = int(e.args[0].code())
            if code < 0:
                raise  # librdkafka's own
            return code
        return 0

    def groups(
        self, states: Sequence[str] = (), types: Sequence[str] = ()
    ) -> dict[str, tuple[str, str | None]]:
        from confluent_kafka import ConsumerGroupState, ConsumerGroupType

        wanted: dict[str, Any] = {}
        if states:
            wanted["states"] = {ConsumerGroupState[_constant(s)] for s in states}
        if types:
            wanted["types"] = {ConsumerGroupType[t.upper()] for t in types}
        found = self._admin.list_consumer_groups(request_timeout=20, **wanted).result(30)
        assert not found.errors
        return {g.group_id: (_words(g.state.name), g.type.name.capitalize()) for g in found.valid}

    def describe(self, group: str, kind: str) -> Described:
        future = self._admin.describe_consumer_groups([group], request_timeout=20)[group]
        if code := self._code(lambda: future.result(30)):
            return Described(code)
        found = future.result()
        members = {
            m.client_id: (
                m.group_instance_id,
                frozenset((p.topic, p.partition) for p in m.assignment.topic_partitions),
            )
            for m in found.members
        }
        return Described(0, _words(found.state.name), found.partition_assignor, members)

    def offsets(self, group: str) -> dict[Place, tuple[int, str]]:
        from confluent_kafka import ConsumerGroupTopicPartitions

        wanted = [ConsumerGroupTopicPartitions(group)]
        found = self._admin.list_consumer_group_offsets(wanted)[group].result(30)
        return {
            (p.topic, p.partition): (p.offset, p.metadata or "") for p in found.topic_partitions
        }

    def alter(self, group: str, offsets: Offsets) -> dict[Place, int]:
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

        rows = [TopicPartition(t, p, o, metadata=m) for (t, p), (o, m) in offsets.items()]
        wanted = [ConsumerGroupTopicPartitions(group, rows)]
        future = self._admin.alter_consumer_group_offsets(wanted)[group]
        try:
            found = future.result(30).topic_partitions
        except KafkaException as e:
            return dict.fromkeys(offsets, int(e.args[0].code()))
        return {(p.topic, p.partition): p.error.code() if p.error else 0 for p in found}

    def delete_offsets(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        raise AssertionError("confluent-kafka has no such call")

    def delete_groups(self, groups: Sequence[str]) -> dict[str, int]:
        futures = self._admin.delete_consumer_groups(list(groups), request_timeout=20)
        return {g: self._code(functools.partial(f.result, 30)) for g, f in futures.items()}


class KafkaPythonGroupAdmin(GroupAdmin):
    """kafka-python's admin. It describes by DescribeGroups only."""

    name = "kafka-python"

    @functools.cached_property
    def _admin(self) -> Any:
        from kafka import KafkaAdminClient

        return KafkaAdminClient(bootstrap_servers=self.bootstrap)

    def groups(
        self, states: Sequence[str] = (), types: Sequence[str] = ()
    ) -> dict[str, tuple[str, str | None]]:
        found = self._admin.list_groups(states_filter=list(states), types_filter=list(types))
        return {g["group_id"]: (g["group_state"], g["group_type"].capitalize()) for g in found}

    def describe(self, group: str, kind: str) -> Described:
        found = self._admin.describe_groups([group])[group]
        if found["error"]:
            assert "69" in found["error"], found["error"]
            return Described(69)
        members = {}
        for m in found["members"]:
            assigned = (
                m["member_assignment"]["assigned_partitions"] if m["member_assignment"] else []
            )
            places = frozenset((a["topic"], p) for a in assigned for p in a["partitions"])
            members[m["client_id"]] = (m["group_instance_id"], places)
        return Described(0, found["group_state"], found["protocol_data"], members)

    def offsets(self, group: str) -> dict[Place, tuple[int, str]]:
        found = self._admin.list_group_offsets(group)[group]
        return {(tp.topic, tp.partition): (at.offset, at.metadata) for tp, at in found.items()}

    def alter(self, group: str, offsets: Offsets) -> dict[Place, int]:
        from kafka import OffsetAndMetadata, TopicPartition

        rows = {TopicPartition(*p): OffsetAndMetadata(o, m, -1) for p, (o, m) in offsets.items()}
        found = self._admin.alter_group_offsets(group, rows)
        return {(tp.topic, tp.partition): error.errno for tp, error in found.items()}

    def delete_offsets(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        from kafka import TopicPartition
        from kafka.errors import BrokerResponseError

        rows = [TopicPartition(*p) for p in places]
        try:
            found = self._admin.delete_group_offsets(group, rows)
        except BrokerResponseError as e:
            return {(tp.topic, tp.partition): e.errno for tp in rows}
        return {(tp.topic, tp.partition): error.errno for tp, error in found.items()}

    def delete_groups(self, groups: Sequence[str]) -> dict[str, int]:
        from kafka import errors

        found = self._admin.delete_groups(list(groups))
        return {g: 0 if t == "OK" else getattr(errors, t).errno for g, t in found.items()}

    def remove_members(self, group: str, instances: Sequence[str] | None) -> dict[str, int]:
        from kafka.admin import MemberToRemove

        assert instances is not None
        members = [MemberToRemove(group_instance_id=i) for i in instances]
        found = self._admin.remove_group_members(group, members)
        return {instance: error.errno for instance, error in found.items()}

    def close(self) -> None:
        self._admin.close()


def _words(constant: str) -> str:
    """PREPARING_REBALANCING and the like as Kafka prints states."""
    return "".join(word.capitalize() for word in constant.split("_")).replace("ancing", "ance")


def _constant(state: str) -> str:
    return {"Stable": "STABLE", "Empty": "EMPTY", "Dead": "DEAD"}[state]


ADMINS: dict[str, type[GroupAdmin]] = {
    a.name: a for a in (JavaGroupAdmin, ConfluentGroupAdmin, KafkaPythonGroupAdmin, FranzGroupAdmin)
}
