"""One partition of ``__consumer_offsets`` as a machine: its groups and their committed offsets.

Owns what the two group protocols and the offsets share: the map of groups, the deadlines, the
metadata image, the settings. Each family of requests lives in a package of its own (`classic`,
`consumer`, `offsets`), as functions that take the shard; every package exports the same five names,
which this module joins into its tables:

    HANDLERS   {request class: handler(shard, request, caller, now, reply) -> Result}
    APPLIERS   {record key class: apply(shard, key, value or None)}
    DEADLINES  {kind of deadline: expired(shard, key, now) -> Result}
    LOADED     loaded(shard, now) -> list[Result]; after the log was replayed: arm the timers
    CHANGED    changed(shard, topic names, now) -> list[Result]; the metadata image was replaced

A deadline's key is a tuple whose first item is its kind: ``("session", group_id, member_id)``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.deadlines import Deadlines
from kafka_py.coordinator.machine import (
    Caller,
    CoordinatorRecord,
    Delivery,
    Moment,
    Reply,
    Result,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.schema import Record

if TYPE_CHECKING:
    from kafka_py.coordinator.offsets.committed import CommittedOffsets
    from kafka_py.metadata.image import MetadataImage

__all__ = ["Group", "GroupShard"]

log = logging.getLogger("kafka_py.coordinator")

#: When a deadline whose handler raised is looked at again.
RETRY_MS = 500

Handler = Callable[["GroupShard", Any, Caller, Moment, Reply], Result]
Applier = Callable[["GroupShard", Any, Any], None]
Expired = Callable[["GroupShard", Any, Moment], Result]


class Group:
    """What the shard, the offsets and the listing ask of a group of either protocol.

    ``kind`` is Kafka's group type ("classic", "consumer"); ``protocol_type`` what ListGroups shows.
    """

    kind = ""
    protocol_type = ""

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id

    @property
    def state(self) -> str:
        """Kafka's name of the state: Empty, Stable, PreparingRebalance, Reconciling, ..."""
        raise AssertionError("a group says its state")

    @property
    def is_empty(self) -> bool:
        """No member is left."""
        return self.state in ("Empty", "Dead")

    def is_subscribed(self, topic: str) -> bool:
        """Whether a member consumes ``topic``, so that its offsets neither expire nor go."""
        raise AssertionError("a group knows its subscriptions")

    def validate_offset_commit(
        self,
        member_id: str,
        instance_id: str | None,
        epoch: int,
        *,
        transactional: bool,
        api_version: int,
    ) -> ErrorCode:
        """Whether this member may commit; ``epoch`` is the generation or the member epoch."""
        raise AssertionError("a group judges commits")

    def validate_partition_commit(
        self, member_id: str, epoch: int, topic_id: bytes, partition: int
    ) -> ErrorCode:
        """Whether a commit that `validate_offset_commit` let through may have that partition.

        A consumer group lets a member whose epoch is behind commit what it has had since; every
        other group is asked once a commit.
        """
        return ErrorCode.NONE

    def validate_offset_fetch(self, member_id: str | None, epoch: int) -> ErrorCode:
        """Whether this member may read offsets (OffsetFetch 9+ says who asks)."""
        raise AssertionError("a group judges fetches")

    def validate_delete(self) -> ErrorCode:
        """Whether the group may be deleted: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND or NONE."""
        raise AssertionError("a group judges its deletion")

    def validate_offset_delete(self) -> ErrorCode:
        """Whether offsets may be deleted; subscribed topics are refused one by one."""
        raise AssertionError("a group judges deletions of offsets")

    def committed(self, shard: GroupShard, member_id: str, now: Moment) -> None:
        """A valid commit arrived: a sign of life where the protocol takes it for one."""

    def quick_heartbeat(
        self, shard: GroupShard, member_id: str, generation: int, now: Moment
    ) -> bool:
        """Take a Heartbeat for which all is as it was: a sign of life, and no error.

        False, and nothing has happened, when the general path has to look at it.
        """
        return False

    def offsets_expire_from_ms(self, committed_ms: int) -> int | None:
        """When retention begins for an offset committed then (wall clock); None: not at all.

        Kafka: an empty classic group counts from the time it became empty, a simple group and a
        consumer group from the commit.
        """
        raise AssertionError("a group knows when its offsets expire")

    def serve_classic(
        self, shard: GroupShard, request: Any, caller: Caller, now: Moment, reply: Reply
    ) -> Result | None:
        """A classic member's request to a group of another protocol (KIP-848's migration).

        None: such members are refused.
        """
        return None

    def tombstones(self) -> list[CoordinatorRecord]:
        """The records that delete the group itself; its offsets' are the offsets' business."""
        raise AssertionError("a group knows its records")


class GroupShard:
    """The groups of one partition of ``__consumer_offsets``. Sans-IO; see the module's text.

    Attributes:
        groups: group id -> group.
        offsets: what the groups committed.
        deadlines: everything that comes due, by key.
        image: the committed metadata; replaced by `metadata_changed`.
        settings: the broker's typed configuration (``settings["group.max.size"]``).
        topics: what consumer groups know of the image's topics.
        new_id: gives a fresh uuid as text, for member ids.
    """

    def __init__(
        self,
        partition: int,
        *,
        settings: Mapping[str, Any],
        image: MetadataImage,
        new_id: Callable[[], str],
        describable: Callable[[Caller, Iterable[str]], Collection[str]] | None = None,
    ) -> None:
        """`describable` are the topics of these that a caller may describe; None: all of them."""
        from kafka_py.coordinator.consumer.topics import TopicWatch
        from kafka_py.coordinator.offsets.committed import CommittedOffsets

        self.partition = partition
        self.settings = settings
        self.image = image
        self.new_id = new_id
        self.describable = describable
        self.groups: dict[str, Group] = {}
        self.offsets: CommittedOffsets = CommittedOffsets()
        self.deadlines = Deadlines()
        self.topics = TopicWatch(image)

    def handle(self, request: Any, caller: Caller, now: Moment, reply: Reply) -> Result:
        """What becomes of a request. Mutates soft state only."""
        return tables().handlers[type(request)](self, request, caller, now, reply)

    def apply(self, key: Record, value: Record | None) -> None:
        """Take over one record of the log: the only mutator of what records say. Total.

        Record types that nothing here knows (share and streams groups) are passed over.
        """
        applier = tables().appliers.get(type(key))
        if applier is not None:
            applier(self, key, value)

    def apply_pending(self, producer_id: int, key: Record, value: Record | None) -> None:
        """Take over one record of that producer's open transaction: a committed offset."""
        from kafka_py.coordinator import offsets

        offsets.apply_pending(self, producer_id, key, value)

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        """The offsets of the producer's transaction count from now on, or never."""
        self.offsets.end_transaction(producer_id, committed)

    def loaded(self, now: Moment) -> Iterator[Result]:
        """The log was replayed and this node leads: arm sessions and timers."""
        for loaded in tables().loaded:
            yield from loaded(self, now)

    def unloaded(self) -> list[Delivery]:
        """This node leads no more: the answers for what is parked in the groups."""
        return tables().unloaded(self)

    def expire(self, now: Moment) -> Iterator[Result]:
        """Work off what has come due, one by one: each result is taken before the next is made.

        What one of them cancels or moves is not worked off; what one arms anew waits for the next
        call. A deadline whose handler raises comes due again, later.
        """
        expired = tables().expired
        for _ in range(len(self.deadlines)):
            key = self.deadlines.take_due(now.ms)
            if key is None:
                return
            try:
                result = expired[key[0]](self, key, now)  # type: ignore[index]
            except Exception:
                log.exception("%r has come due and failed; it is tried again", key)
                self.deadlines.set(key, now.ms + RETRY_MS)
                continue
            yield result

    def next_deadline_ms(self) -> int | None:
        """When `expire` has something to do (monotonic); None: never."""
        return self.deadlines.next_ms()

    def metadata_changed(
        self, image: MetadataImage, topics: Iterable[str], now: Moment
    ) -> Iterator[Result]:
        """A new image; ``topics`` are the names that were created, changed or deleted."""
        self.image = image
        for changed in tables().changed:
            yield from changed(self, topics, now)


class _Tables:
    """The packages' tables, joined."""

    def __init__(self) -> None:
        from kafka_py.coordinator import classic, consumer, listing, offsets

        self.unloaded = classic.unloaded
        self.handlers: dict[type, Handler] = dict(listing.HANDLERS)
        self.appliers: dict[type, Applier] = {}
        self.expired: dict[str, Expired] = {}
        self.loaded: list[Callable[[GroupShard, Moment], list[Result]]] = []
        self.changed: list[Callable[[GroupShard, Iterable[str], Moment], list[Result]]] = []
        for package in (classic, consumer, offsets):
            self.handlers.update(package.HANDLERS)
            self.appliers.update(package.APPLIERS)
            self.expired.update(package.DEADLINES)
            self.loaded.append(package.LOADED)
            self.changed.append(package.CHANGED)


_joined: list[_Tables] = []


def tables() -> _Tables:
    """The joined tables, made once."""
    if not _joined:
        _joined.append(_Tables())
    return _joined[0]
