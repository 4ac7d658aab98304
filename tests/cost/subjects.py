"""What the instruction counts are taken of; run under `counter`, which counts between two signals.

    counter instructions OUT python -m tests.cost.subjects

One window a subject, in the order of `SUBJECTS`. Each is done so often before that the interpreter
has specialised its loop, and done `OPERATIONS` times within it. The first, "nothing", is what a
window and its loop cost themselves.
"""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kafka_py.protocol.fetch import FetchRequest, FetchResponse
from kafka_py.protocol.produce import ProduceRequest, ProduceResponse
from kcore import Log, LogConfig, build
from tests.fuzz import request

OPERATIONS: Final = 8
WARM: Final = 320
NOW_MS: Final = 0
"""The clock of `tests.fuzz.request` stands at 0."""
RECOVERED_BATCHES: Final = 64


def answered(key: int, body: bytes, response: type[Any]) -> Callable[[], object]:
    """The request on the compiled path, which answers it without an error."""
    path = request.compiled()
    outcome, reply = path.request(key, 12, body)
    assert outcome != request.DECLINED
    (topic,) = response.decode(reply[9:], 12).responses
    (partition,) = getattr(topic, "partition_responses", None) or topic.partitions
    assert partition.error_code == 0, partition
    return lambda: path.request(key, 12, body)


def produce(records: bytes) -> Callable[[], object]:
    """A Produce v12 of one batch to one partition, on the compiled path."""
    partition = ProduceRequest.PartitionProduceData(index=0, records=records)
    topic = ProduceRequest.TopicProduceData(name=request.TOPIC, partition_data=[partition])
    body = ProduceRequest(acks=1, timeout_ms=1000, topic_data=[topic]).encode(12)
    return answered(0, body, ProduceResponse)


def fetch() -> Callable[[], object]:
    """A Fetch v12 that finds one small batch, on the compiled path."""
    wanted = FetchRequest.FetchPartition(
        partition=1,
        fetch_offset=0,
        partition_max_bytes=1 << 20,
        current_leader_epoch=-1,
        last_fetched_epoch=-1,
    )
    topic = FetchRequest.FetchTopic(topic=request.TOPIC, partitions=[wanted])
    body = FetchRequest(
        replica_id=-1,
        max_wait_ms=0,
        min_bytes=1,
        max_bytes=1 << 20,
        session_id=0,
        session_epoch=-1,
        topics=[topic],
    ).encode(12)
    return answered(1, body, FetchResponse)


def append(directory: Path) -> Callable[[], object]:
    """An append of one batch of 1 KiB to a log."""
    log = Log.open(str(directory / "appended-0"), LogConfig(), now_ms=NOW_MS, clean=True)
    batch = build([(None, b"x" * 1024, (), NOW_MS)])
    return lambda: log.append(batch, leader_epoch=0, now_ms=NOW_MS)


def recovery(directory: Path) -> Callable[[], object]:
    """The opening of a log after an unclean stop: `RECOVERED_BATCHES` of 1 KiB are checked."""
    path = str(directory / "recovered-0")
    batch = build([(None, b"x" * 1024, (), NOW_MS)])
    log = Log.open(path, LogConfig(), now_ms=NOW_MS, clean=True)
    for _ in range(RECOVERED_BATCHES):
        log.append(batch, leader_epoch=0, now_ms=NOW_MS)
    log.close()

    def recover() -> None:
        opened = Log.open(path, LogConfig(), now_ms=NOW_MS, clean=False)
        assert opened.log_end_offset == RECOVERED_BATCHES
        opened.close()

    return recover


def subjects(directory: Path) -> dict[str, tuple[Callable[[], object], int, int]]:
    """By name: what to do, how often before, how often while it is counted."""
    small = build([(None, b"x" * 100, (), NOW_MS)])
    return {
        "nothing": (lambda: None, WARM, OPERATIONS),
        "produce 1 x 100 B": (produce(small), WARM, OPERATIONS),
        "fetch of one small batch": (fetch(), WARM, OPERATIONS),
        "append of 1 KiB": (append(directory), WARM, OPERATIONS),
        "recovery of 64 x 1 KiB": (recovery(directory), 4, 1),
    }


SUBJECTS: Final = {
    "nothing": OPERATIONS,
    "produce 1 x 100 B": OPERATIONS,
    "fetch of one small batch": OPERATIONS,
    "append of 1 KiB": OPERATIONS,
    "recovery of 64 x 1 KiB": 1,
}
"""How often each is done in its window."""


def main() -> None:
    """Do all of it, window by window."""
    me = os.getpid()
    with tempfile.TemporaryDirectory() as directory:
        made = subjects(Path(directory))
        assert {name: times for name, (_, _, times) in made.items()} == SUBJECTS
        gc.collect()
        gc.disable()
        for do, before, times in made.values():
            for _ in range(before):
                do()
            os.kill(me, signal.SIGUSR1)
            for _ in range(times):
                do()
            os.kill(me, signal.SIGUSR2)


if __name__ == "__main__":
    main()
