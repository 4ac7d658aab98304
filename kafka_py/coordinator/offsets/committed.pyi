"""What groups committed, in memory: group -> topic -> partition -> offset."""

from collections.abc import Mapping
from typing import final

from kafka_py.coordinator.offsets.pending import PendingOffsets
from kafka_py.protocol.records_group import (
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    OffsetCommitKey,
    OffsetCommitValue,
)

_Key = OffsetCommitKey | LegacyOffsetCommitKey
_Value = OffsetCommitValue | LegacyOffsetCommitValue

@final
class Committed:
    """One committed offset; a value.

    leader_epoch: -1 when the client gave none. commit_ms: wall clock. expire_ms: when it goes, if
    a request of version 2 to 4 said so; -1: retention decides. topic_id: 16 bytes, zeros when the
    record had none.
    """

    def __init__(
        self,
        offset: int,
        leader_epoch: int = -1,
        metadata: str = "",
        commit_ms: int = -1,
        expire_ms: int = -1,
        topic_id: bytes = ...,
    ) -> None: ...
    @property
    def offset(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def metadata(self) -> str: ...
    @property
    def commit_ms(self) -> int: ...
    @property
    def expire_ms(self) -> int: ...
    @property
    def topic_id(self) -> bytes: ...

@final
class CommittedOffsets:
    """The offsets of all groups of one partition of ``__consumer_offsets``.

    Offsets of transactions that are still open lie in `pending` and are seen by nobody but
    `is_pending`. The mappings given out are live views: copy them before applying anything.
    """

    @property
    def count(self) -> int:
        """How many offsets there are, pending ones not counted."""

    @property
    def pending(self) -> PendingOffsets:
        """The offsets of open transactions."""

    def __len__(self) -> int: ...
    def get(self, group: str, topic: str, partition: int) -> Committed | None:
        """What that group committed for that partition."""

    def of_group(self, group: str) -> Mapping[str, Mapping[int, Committed]]:
        """Topic -> partition -> offset of one group; empty when it has none."""

    def group_ids(self) -> list[str]:
        """The groups that have committed offsets."""

    def put(self, group: str, topic: str, partition: int, value: Committed) -> None:
        """Commit an offset outside of any transaction."""

    def remove(self, group: str, topic: str, partition: int) -> bool:
        """Forget an offset, and what open transactions hold for it; whether it was there."""

    def apply(self, key: _Key, value: _Value | None) -> None:
        """Take over a record that belongs to no transaction; None is a tombstone."""

    def apply_pending(self, producer_id: int, key: _Key, value: _Value | None) -> None:
        """Take over a record of that producer's open transaction; a tombstone counts at once."""

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        """The control batch came: the producer's offsets count from now on, or never.

        Whatever was committed after a pending offset was written stays. Fine when there are none.
        """

    def is_pending(self, group: str, topic: str, partition: int) -> bool:
        """Whether an open transaction holds an offset for that partition."""

    def has_open_transactions(self, group: str) -> bool:
        """Whether an open transaction holds any offset of the group."""
