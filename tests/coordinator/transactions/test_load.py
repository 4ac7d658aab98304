"""Loading a partition of __transaction_state from a real log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pytest

from kafka_py.coordinator.transactions.load import replay
from kafka_py.coordinator.transactions.shard import TransactionShard
from kafka_py.coordinator.transactions.transaction import State, Transaction, to_record, tombstone
from kafka_py.protocol.errors import ErrorCode, MalformedRequest
from kafka_py.protocol.records import encode_key, encode_value
from kafka_py.protocol.records_transaction import TransactionLogKey, TransactionLogValue
from kcore.batch_builder import build
from kcore.log import COORDINATOR, Log
from kcore.log_config import LogConfig
from tests.coordinator.transactions.world import SETTINGS, WALL_MS, World

Pair = tuple[bytes, bytes | None]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened = Log.open(
        str(tmp_path / "__transaction_state-0"), LogConfig(), now_ms=WALL_MS, clean=True
    )
    yield opened
    opened.close()


def append(log: Log, *pairs: Pair, compression: int = 0) -> None:
    batch = build(list(pairs), compression=compression)
    log.append(batch, leader_epoch=0, now_ms=WALL_MS, origin=COORDINATOR)


def pair(transaction: Transaction, version: int = 1) -> Pair:
    key, value, value_version = to_record(transaction, version)
    assert value is not None
    return encode_key(key), encode_value(value, value_version)


def loaded(log: Log, **settings: int) -> TransactionShard:
    shard = World(**settings).shard
    replay(log, shard, log.log_end_offset)
    return shard


def test_the_last_record_of_each_id_counts(log: Log) -> None:
    first = Transaction("a", 1, 1000, 0)
    last = Transaction(
        "a",
        *(1, 2000, 3, 7, 8),
        state=State.Ongoing,
        partitions=frozenset({("t", 1), ("t", 0), ("u", 5)}),
        started_ms=5,
        updated_ms=6,
        client_version=2,
    )
    other = Transaction("b", 2, 1000, 1, state=State.CompleteCommit)
    append(log, pair(first), pair(other, 0))
    append(log, pair(last), compression=2)
    append(log, pair(Transaction("gone", 3, 1000, 0)))
    append(log, (encode_key(tombstone("gone").key), None))
    # Read in pieces of one batch at most.
    shard = World(**{"transaction.state.log.load.buffer.size": 1}).shard
    assert replay(log, shard, log.log_end_offset) == 5
    assert shard.transactions == {"a": last, "b": other}


def test_only_below_the_end(log: Log) -> None:
    append(log, pair(Transaction("a", 1, 1000, 0)))
    end_offset = log.log_end_offset
    append(log, pair(Transaction("a", 1, 1000, 1)))
    shard = World().shard
    assert replay(log, shard, end_offset) == 1
    assert shard.transactions["a"].producer_epoch == 0


def test_what_later_versions_leave_behind(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    key, value = pair(Transaction("a", 1, 1000, 0))
    assert value is not None
    append(log, (key, pack(">h", 9) + value[2:] + b"more"), (pack(">h", 44) + b"?", b"??"))
    with caplog.at_level(logging.WARNING):
        assert list(loaded(log).transactions) == ["a"]
    assert "unknown type" in caplog.text


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        pack(">h", -1),
        pack(">h", 1) + b"\0\0",
        encode_value(TransactionLogValue(transaction_status=9), 1),
    ],
)
def test_damage_is_said(log: Log, value: bytes) -> None:
    append(log, (encode_key(TransactionLogKey(transactional_id="a")), value))
    with pytest.raises(MalformedRequest):
        loaded(log)


def test_a_record_without_key(log: Log) -> None:
    append(log, (None, b"x"))  # type: ignore[arg-type]
    with pytest.raises(MalformedRequest):
        loaded(log)


def test_an_outcome_that_comes_twice_or_late() -> None:
    """It is the current job's first outcome that counts."""
    world = World(**SETTINGS)
    prepared = Transaction(
        "a", 1, 1000, 0, state=State.PrepareCommit, partitions=frozenset({("t", 0), ("t", 1)})
    )
    key, value, _ = to_record(prepared, 2)
    world.shard.apply(key, value)
    world.runtime.take_all(world.shard.loaded)
    (job,) = world.jobs
    world.written(job, {("t", 1): ErrorCode.NOT_LEADER_OR_FOLLOWER})
    world.written(job, {})
    assert world.shard.transactions["a"].state is State.PrepareCommit
    world.advance(100)
    (again,) = world.jobs
    assert again.partitions == (("t", 1),)
    world.written(job, {})
    assert world.shard.transactions["a"].state is State.PrepareCommit
    world.written(again, {})
    assert world.shard.transactions["a"].state is State.CompleteCommit
