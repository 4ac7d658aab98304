"""Committed offsets of groups: OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete,
retention, replay.

`fetch`, `fetch_all` and `delete_all` are for the server and for the deletion of groups; the five
tables are joined by `kafka_py.coordinator.shard`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.coordinator.offsets.commits import commit, commit_refused, simple_group
from kafka_py.coordinator.offsets.deletions import delete, delete_all, topics_changed
from kafka_py.coordinator.offsets.expiry import EXPIRY, expired, schedule
from kafka_py.coordinator.offsets.fetches import fetch, fetch_all, fetch_refused, handle_fetch
from kafka_py.coordinator.offsets.transactional import apply_pending, commit_in_transaction
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
)
from kafka_py.protocol.records_group import LegacyOffsetCommitKey, OffsetCommitKey
from kafka_py.protocol.transactions import TxnOffsetCommitRequest

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = [
    "APPLIERS",
    "CHANGED",
    "DEADLINES",
    "HANDLERS",
    "LOADED",
    "apply_offset",
    "apply_pending",
    "commit_refused",
    "delete_all",
    "fetch",
    "fetch_all",
    "fetch_refused",
    "simple_group",
]


def apply_offset(shard: GroupShard, key: Any, value: Any) -> None:
    """Take over a committed offset, or its tombstone; a group that is not there is a simple one."""
    if value is not None and key.group not in shard.groups:
        simple_group(shard, key.group)
    shard.offsets.apply(key, value)


HANDLERS: dict[type, Any] = {
    OffsetCommitRequest: commit,
    TxnOffsetCommitRequest: commit_in_transaction,
    OffsetFetchRequest: handle_fetch,
    OffsetDeleteRequest: delete,
}
APPLIERS: dict[type, Any] = {OffsetCommitKey: apply_offset, LegacyOffsetCommitKey: apply_offset}
DEADLINES: dict[str, Any] = {EXPIRY: expired}
LOADED = schedule
CHANGED = topics_changed
