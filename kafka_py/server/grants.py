"""What one caller may do, kept where the compiled paths look it up for every request.

The compiled Produce, Fetch, OffsetCommit and heartbeats decline what is not granted here; the
handlers then ask the authorizer themselves, and say (and log) the refusal. Answers are forgotten
when the access control entries change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from kafka_py.metadata.authorizer import Authorizer, Subject
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.server.coordinators import java_address

if TYPE_CHECKING:
    from kafka_py.server.node import Node

__all__ = ["Grants", "grants_of"]

KEY_PRODUCE: Final = 0
#: From this version on Produce and Fetch name topics by id.
BY_ID_VERSION: Final = 13
CACHED_MAX: Final = 10_000


class TopicGrants(dict[bytes, bool]):
    """Key of a topic (its id, or its name's bytes) -> whether an operation on it is allowed.

    Reading asks the authorizer for what is not there yet.
    """

    def __init__(
        self, allows: Callable[[str], bool], name_of: Callable[[bytes], str | None]
    ) -> None:
        self._allows = allows
        self._name_of = name_of

    def __missing__(self, key: bytes) -> bool:
        name = self._name_of(key)
        if name is None:
            return False
        if len(self) >= CACHED_MAX:
            self.clear()
        self[key] = found = self._allows(name)
        return found


class Grants:
    """What a principal may do from a host; shared by its connections."""

    def __init__(self, node: Node, authorizer: Authorizer, subject: Subject) -> None:
        self._authorizer = authorizer
        self._subject = subject
        self._version = authorizer.version

        def of_id(topic_id: bytes) -> str | None:
            topic = node.image.topics_by_id.get(topic_id)
            return None if topic is None else topic.name

        def of_bytes(name: bytes) -> str:
            return name.decode("utf-8", "replace")

        def table(operation: Operation) -> tuple[TopicGrants, TopicGrants]:
            def allows(name: str) -> bool:
                return authorizer.allows(subject, operation, ResourceType.TOPIC, name)

            return TopicGrants(allows, of_bytes), TopicGrants(allows, of_id)

        self._writable, self._readable = table(Operation.WRITE), table(Operation.READ)

    def topics(self, key: int, version: int) -> TopicGrants:
        """The topics that a Produce may write to or a Fetch read from, as the version has them."""
        if self._version != self._authorizer.version:
            self._version = self._authorizer.version
            for tables in (self._writable, self._readable):
                for one in tables:
                    one.clear()
        tables = self._writable if key == KEY_PRODUCE else self._readable
        return tables[version >= BY_ID_VERSION]

    def may_join(self, group_id: str) -> bool:
        """Whether the caller may read the group."""
        return self._authorizer.allows(self._subject, Operation.READ, ResourceType.GROUP, group_id)

    def may_commit(self, group_id: str, topics: list[str]) -> bool:
        """Whether the caller may read the group and all of these topics."""
        read, topic = Operation.READ, ResourceType.TOPIC
        return self.may_join(group_id) and all(
            self._authorizer.allows(self._subject, read, topic, name) for name in topics
        )


def grants_of(node: Node) -> Callable[[str, str], Grants | None]:
    """What gives each connection (by principal and host) its grants; None without authorizer."""
    authorizer = node.authorizer
    known: WeakValueDictionary[Subject, Grants] = WeakValueDictionary()

    def find(principal: str, host: str) -> Grants | None:
        if authorizer is None:
            return None
        subject = Subject(principal, java_address(host)[1:])
        found = known.get(subject)
        if found is None:
            found = known[subject] = Grants(node, authorizer, subject)
        return found

    return find
