"""OffsetCommit as it nearly always is, without a Python object for what the wire carries."""

from collections.abc import Callable
from typing import final

from kafka_py.coordinator.batch import PendingBatch
from kafka_py.coordinator.machine import Moment
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.image import MetadataImage

@final
class CommitPath:
    """Answers commits that need no thought; everything else is for the general path.

    The connections of a node call it with the bytes of a request. `find` gives the shard and the
    pending batch of a group's coordinator, None where there is none that is loaded; it is
    remembered until the batch is closed or `groups_moved`.
    """

    def __init__(
        self,
        find: Callable[[str], tuple[GroupShard, PendingBatch] | None],
        now: Callable[[], Moment],
        image: MetadataImage,
        metadata_max: int,
    ) -> None: ...
    @property
    def commits(self) -> int:
        """How many requests were answered here."""

    def image_changed(self, image: MetadataImage) -> None:
        """Another image: which topics there are is asked anew."""

    def groups_moved(self) -> None:
        """Groups may have other coordinators than before."""

    def answer(
        self, body: bytes, version: int, correlation: int, now_ms: int
    ) -> tuple[bytes, PendingBatch] | None:
        """The whole frame of the reply, and the batch that it has to wait for.

        None when the general path has to do it; nothing has happened then. Version 2 to 10;
        ``body`` is the request behind its header, ``now_ms`` the wall clock.
        """

def refused(frame: bytes, version: int, error: int) -> bytes:
    """A reply of `CommitPath` (its whole frame) again, with an error at every partition."""
