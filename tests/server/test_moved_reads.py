"""Reads that meet a replica on its way to another log directory go on in the other log."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_py.server.handlers.fetch import Fetch
from kafka_py.server.handlers.list_offsets import search
from kcore.errors import LogFailed


class Log:
    """One that answers, or one that is closed as it is read: then the replica is elsewhere."""

    def __init__(self, partition: Any, following: Any = None) -> None:
        self.partition = partition
        self.following = following
        self.reads = 0

    def _moved(self) -> bool:
        self.reads += 1
        if self.following is not None:
            self.partition.log = self.following
        return self.following is not None

    def read(self, offset: int, limit: int, **_: Any) -> bytes:
        if self._moved():
            raise LogFailed("it is closed")
        return b"records"

    read_cold = read

    def offset_for_timestamp(self, _timestamp: int) -> Any:
        if self._moved():
            raise LogFailed("it is closed")
        return SimpleNamespace(offset=3, timestamp_ms=7, leader_epoch=1)


class Moving:
    """A partition that has moved when its first log is read."""

    def __init__(self) -> None:
        self.offline = False
        self.log_start_offset = 0
        self.high_watermark = self.last_stable_offset = self.log_end_offset = 5
        self.log: Any = Log(self, Log(self))

    def diverging_epoch(self, _epoch: int, _offset: int) -> None:
        return None

    def limit(self, _isolation: int, _follower: bool) -> int:
        return 5


def read(partition: Any, *, cold: bool) -> Any:
    """What a fetch says of the partition."""
    fetch = Fetch.__new__(Fetch)
    fetch.request = SimpleNamespace(isolation_level=0)  # type: ignore[assignment]
    fetch.replica_id = -1
    wanted: Any = SimpleNamespace(fetch_offset=0, last_fetched_epoch=-1)
    return fetch.read_log(("t", 0), partition, wanted, 100, True, cold)


@pytest.mark.parametrize("cold", [False, True])
def test_a_fetch(cold: bool) -> None:
    partition = Moving()
    said = read(partition, cold=cold)
    assert (said.error_code, said.records) == (0, b"records")
    assert partition.log.reads == 1


def test_a_fetch_of_a_disk_that_failed_is_an_error() -> None:
    """Whether the log went with it or is there still."""
    for following in (None, "offline"):
        partition = Moving()
        left = partition.log
        left.following = left if following is None else SimpleNamespace()
        partition.offline = following == "offline"
        assert read(partition, cold=True).error_code == 56
        assert left.reads == 1


def test_a_search_by_time() -> None:
    partition = Moving()

    async def in_worker(work: Any) -> Any:
        return work()

    node: Any = SimpleNamespace(in_worker=in_worker)
    asked: Any = SimpleNamespace(partition_index=0, timestamp=7)
    hit = asyncio.run(search(node, partition, asked, 5))  # type: ignore[arg-type]
    assert (hit.offset, hit.timestamp, hit.leader_epoch) == (3, 7, 1)
    partition = Moving()
    partition.log.following = partition.log
    with pytest.raises(LogFailed):
        asyncio.run(search(node, partition, asked, 5))  # type: ignore[arg-type]
