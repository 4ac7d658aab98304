"""The broker on a failing or full disk: what it acknowledged is there after the next start.

Every file system call that an append, a roll or a flush makes fails once, the way a disk fails
(EIO) and the way a full one does (ENOSPC); and the whole broker lives on a file system of a few
megabytes until nothing fits any more.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafka_py.server.broker import Broker
from kcore import syscalls
from tests.server.conftest import make_topic
from tests.server.messages import batch, fetch, produce
from tests.server.wire import Wire

STORAGE_ERROR = 56
#: What a client may be told; the connection may be closed as well, for the node itself may break.
REFUSALS = {STORAGE_ERROR, 3, 5, 6, 7}
CALLS = ("open", "fallocate", "pwrite", "madvise", "mmap", "ftruncate", "fdatasync", "fsync")


def send(connection: Wire, topic: str, size: int) -> int:
    """The offset under which a batch was acknowledged, -1 when it was refused."""
    try:
        reply = connection.call(produce(topic, batch(1, size), acks=-1), 9)
    except (OSError, EOFError):
        return -1
    answered = reply.responses[0].partition_responses[0]
    if answered.error_code:
        assert answered.error_code in REFUSALS, answered
        return -1
    offset: int = answered.base_offset
    return offset


def end_of(config: dict[str, str], topic: str) -> int:
    """Start on the same directories without faults: how many records can be read."""
    with Broker(config) as broker, Wire(broker.bootstrap_servers) as connection:
        offset = 0
        while True:
            found = connection.call(fetch(topic, offset), 12).responses[0].partitions[0]
            assert found.error_code == 0
            records = bytes(found.records or b"")
            if not records:
                assert found.high_watermark == offset
                return offset
            at = 0
            while at < len(records):
                assert int.from_bytes(records[at : at + 8], "big") == offset
                at += 12 + int.from_bytes(records[at + 8 : at + 12], "big")
                offset += 1


@pytest.fixture
def faults() -> Iterator[None]:
    """No injected failure outlives a test."""
    yield
    syscalls.clear()


@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", CALLS)
def test_what_was_acknowledged_before_a_failure_is_there(
    tmp_path: Path, call: str, error: int, nth: int
) -> None:
    config = {"log.dirs": f"{tmp_path / 'a'},{tmp_path / 'b'}"}
    acknowledged = []
    with Broker(config) as broker, Wire(broker.bootstrap_servers) as connection:
        make_topic(connection, "t", segment_bytes="1048576")
        acknowledged.append(send(connection, "t", 1000))
        syscalls.inject(call, nth, error)
        acknowledged += [send(connection, "t", 300_000) for _ in range(8)]
        fired = syscalls.fired()
        syscalls.clear()
    kept = [offset for offset in acknowledged if offset >= 0]
    assert kept == list(range(len(kept)))
    if not fired:
        assert len(kept) == len(acknowledged)
    assert end_of(config, "t") >= len(kept)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_refuses_and_forgets_nothing(small_disk: Path, tmp_path: Path) -> None:
    """The directory that is full goes offline; the other one goes on; room made, all is there."""
    config = {"log.dirs": f"{small_disk / 'data'},{tmp_path / 'other'}"}
    topics = ["a", "b", "c", "d"]
    kept = dict.fromkeys(topics, 0)
    full: set[str] = set()
    with Broker(config) as broker, Wire(broker.bootstrap_servers) as connection:
        for topic in topics:
            make_topic(connection, topic)
        for _ in range(60):
            for topic in topics:
                if topic in full:
                    continue
                offset = send(connection, topic, 300_000)
                if offset < 0:
                    full.add(topic)
                else:
                    assert offset == kept[topic]
                    kept[topic] += 1
        assert 0 < len(full) < len(topics), "one directory of two is full"
        assert all(kept[topic] == 60 for topic in topics if topic not in full)
    subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
    for topic in topics:
        assert end_of(config, topic) >= kept[topic]
