"""Subscriptions by pattern (KIP-848, RE2 syntax): when they are resolved, and what comes of it.

A member's new pattern is checked when it comes; the topics that it matches are looked up once its
heartbeat is committed, and again when topics are created or the refresh interval has passed, at
most every ten seconds a group.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from kafka_py.coordinator.consumer import records
from kafka_py.coordinator.consumer.assignor_order import (
    DEFAULT_CAPACITY,
    grown_capacity,
    java_order,
    string_hash,
    table_capacity,
    timeline_order,
)
from kafka_py.coordinator.consumer.group import ConsumerGroup, ResolvedRegex
from kafka_py.coordinator.consumer.member import Member
from kafka_py.coordinator.consumer.regex import InvalidPattern, Pattern, compile_pattern, resolve
from kafka_py.coordinator.consumer.targets import REFRESH_INTERVAL_MS
from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Moment, Result, Then
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["BATCH_INTERVAL_MS", "Change", "refresh", "update"]

#: The least time between two resolutions of a group's patterns.
BATCH_INTERVAL_MS: Final = 10_000


class Change(Enum):
    """What a heartbeat changed about a member's pattern."""

    NONE = 0
    #: Changed; what it matches is not known yet.
    UPDATED = 1
    #: Changed; what the member subscribes to now is known.
    RESOLVED = 2


def update(
    group: ConsumerGroup, old: Member, new: Member, written: list[CoordinatorRecord]
) -> tuple[Change, bool]:
    """Take over a member's new pattern: what changed, and whether it has to be resolved now.

    Raises INVALID_REGULAR_EXPRESSION.
    """
    before, after = old.regex, new.regex
    if before == after:
        return Change.NONE, False
    if before and group.regex_counts.get(before) == 1:
        written.append(records.regex_tombstone(group.group_id, before))
    if not after:
        return (Change.RESOLVED if before else Change.UPDATED), False
    if after in group.regex_counts:
        return (Change.RESOLVED if after in group.resolved else Change.UPDATED), False
    try:
        compile_pattern(after)
    except InvalidPattern as error:
        raise ApiError(
            ErrorCode.INVALID_REGULAR_EXPRESSION,
            f"SubscribedTopicRegex `{after}` is not a valid regular expression: {error}.",
        ) from error
    return Change.UPDATED, True


def refresh(
    shard: GroupShard,
    group: ConsumerGroup,
    old: Member,
    new: Member,
    caller: Caller,
    now: Moment,
    *,
    is_new: bool,
) -> Then | None:
    """What to do once the heartbeat is committed: resolve the group's patterns, or nothing.

    ``is_new``: the member came with a pattern that nobody had. Topics that the caller, whose
    heartbeat it is, may not describe are not matched.
    """
    if not (is_new or group.regex_counts) or group.group_id in shard.topics.resolving:
        return None
    last = next(iter(group.resolved.values()), None)
    if last is not None and now.wall_ms <= last.resolved_ms + BATCH_INTERVAL_MS:
        return None
    expressions = _in_order(group, old, new)
    interval_ms = shard.settings["group.consumer.regex.refresh.interval.ms"]
    wanted = (
        is_new
        or len(expressions) != len(group.resolved)
        or last is None
        or last.version < shard.topics.new_topics_version
        or now.wall_ms > last.resolved_ms + interval_ms
    )
    if not wanted or not expressions:
        return None
    shard.topics.resolving.add(group.group_id)

    def then(error: ErrorCode, then_now: Moment) -> Result:
        shard.topics.resolving.discard(group.group_id)
        if error is not ErrorCode.NONE:
            return Result()
        return _resolve(shard, group.group_id, expressions, caller, then_now)

    return then


def _in_order(group: ConsumerGroup, old: Member, new: Member) -> list[str]:
    """The group's patterns were the member changed so, as Kafka's hash table gives them back: a
    copy of the group's, in which one that is put anew stands in front of its bucket."""
    counts = group.regexes_with(old, new)
    known = group.regex_counts
    put = timeline_order(known, group.regexes_most)
    mine = new.regex
    if mine and (mine not in known or (mine == old.regex and known[mine] == 1)):
        put = [mine, *(text for text in put if text != mine)]
    capacity = table_capacity(len(known) * 4 // 3 + 1) if known else DEFAULT_CAPACITY
    return [text for text in java_order(put, string_hash, capacity) if text in counts]


def _resolve(
    shard: GroupShard, group_id: str, expressions: list[str], caller: Caller, now: Moment
) -> Result:
    """Look up what the patterns match; the group's epoch grows when that changed."""
    group = shard.groups.get(group_id)
    if not isinstance(group, ConsumerGroup):
        return Result()
    version = shard.image.offset
    patterns = {text: _compiled(text) for text in expressions if text in group.regex_counts}
    found = resolve(filter(None, patterns.values()), shard.image.topics)
    if shard.describable is not None:
        shown = shard.describable(caller, set().union(*found.values()))
        found = {pattern: topics.intersection(shown) for pattern, topics in found.items()}
    written: list[CoordinatorRecord] = []
    names = set(group.name_counts)
    bump = False
    after = dict(group.resolved)
    # The order of Kafka's hash table.
    capacity = grown_capacity(len(patterns), table_capacity(len(patterns)))
    for text in java_order(patterns, string_hash, capacity):
        pattern = patterns[text]
        topics = frozenset(() if pattern is None else found[pattern])
        old = group.resolved.get(text)
        bump = bump or topics != (old.topics if old is not None else frozenset())
        after[text] = ResolvedRegex(topics, version, now.wall_ms)
        written.append(records.regex(group_id, text, topics, version, now.wall_ms))
    names.update(topic for resolved in after.values() for topic in resolved.topics)
    metadata_hash = shard.topics.hash_of(names, shard.image)
    if bump or metadata_hash != group.metadata_hash:
        epoch = group.epoch + 1
        written.append(records.epoch(group_id, epoch, metadata_hash))
        group.refresh_at_ms, group.refresh_epoch = now.ms + REFRESH_INTERVAL_MS, epoch
    return Result(records=written)


def _compiled(text: str) -> Pattern | None:
    """A pattern that a member brought; None, which matches nothing, for one that another
    coordinator took and this one would not."""
    try:
        return compile_pattern(text)
    except InvalidPattern:
        return None
