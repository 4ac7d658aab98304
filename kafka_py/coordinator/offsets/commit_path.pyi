"""OffsetCommit and heartbeats as they nearly always are, without objects for the wire's fields."""

from collections.abc import Callable
from typing import Protocol, final

from kafka_py.coordinator.batch import PendingBatch
from kafka_py.coordinator.machine import Moment
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.image import MetadataImage

class Grants(Protocol):
    """What one caller may do, by the authorizer."""

    def may_commit(self, group_id: str, topics: list[str]) -> bool:
        """Whether the caller may read the group and all of these topics."""
    def may_join(self, group_id: str) -> bool:
        """Whether the caller may read the group."""

@final
class CommitPath:
    """Answers commits and heartbeats that need no thought; all else is for the general path.

    The connections of a node call it with the bytes of a request. `find` gives the shard of a
    group's coordinator, its pending batch, and what says whether everything applied is committed
    (`Runtime.settled`); None where no coordinator is loaded. It is remembered until the batch is
    closed or `groups_moved`.
    """

    grants: Grants | None
    """What the next caller may do; None where everything is allowed. What is not allowed is for the
    general path."""

    modern: bool
    """Whether the consumer protocol is offered; False at first."""

    def __init__(
        self,
        find: Callable[[str], tuple[GroupShard, PendingBatch, Callable[[], bool]] | None],
        now: Callable[[], Moment],
        monotonic_ms: Callable[[], int],
        image: MetadataImage,
        metadata_max: int,
    ) -> None: ...
    @property
    def commits(self) -> int:
        """How many requests were answered here."""

    def image_changed(self, image: MetadataImage, settings: bool = True) -> None:
        """Another image: which topics there are is asked anew, and with `settings` what groups and
        brokers are configured with."""

    def groups_moved(self) -> None:
        """Groups may have other coordinators than before."""

    def answer(
        self, body: bytes, version: int, correlation: int, now_ms: int
    ) -> tuple[bytes, PendingBatch] | None:
        """The whole frame of the reply, and the batch that it has to wait for.

        None when the general path has to do it; nothing has happened then. Version 2 to 10;
        ``body`` is the request behind its header, ``now_ms`` the wall clock.
        """

    @property
    def heartbeats(self) -> int:
        """How many heartbeats were answered here."""

    def beat(
        self,
        body: bytes,
        version: int,
        correlation: int,
        now_ms: int,
        client_id: str | None = None,
        host: str | None = None,
    ) -> bytes | None:
        """The whole frame of a Heartbeat's reply (version 0 to 4), or with a client id that of a
        ConsumerGroupHeartbeat (version 0 or 1); None when the general path has to do it."""

def refused(frame: bytes, version: int, error: int) -> bytes:
    """A reply of `CommitPath` (its whole frame) again, with an error at every partition."""
