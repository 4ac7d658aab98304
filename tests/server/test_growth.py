"""What a start costs a partition: counted where time would be noise. The times: bench/growth.py."""

import asyncio
import time
from pathlib import Path

import kafka_py
from kafka_py.protocol.topics import CreateTopicsRequest
from kcore import syscalls
from kcore.batch_builder import build

NOW_MS = 1_790_000_000_000
PARTITIONS = 1000
#: The log, its epochs, its producers, whose it is.
OPENS_A_PARTITION = 4
#: Generous: it takes a fifth of a second on a quiet machine.
START_S_MAX = 20.0
BYTES_A_PARTITION_MAX = 6 * 1024


def resident_bytes() -> int:
    """Anonymous memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def test_a_clean_start_with_a_thousand_partitions(tmp_path: Path) -> None:
    """Few files are read a partition, nothing is written, and little memory stays."""
    syscalls.set_volatile(str(tmp_path), True)
    try:
        asyncio.run(make_partitions(tmp_path))
    finally:
        syscalls.set_volatile(str(tmp_path), False)
    asyncio.run(start_again(tmp_path))


async def make_partitions(data: Path) -> None:
    """A topic with three records in each partition."""
    batch = build([(None, bytes(100), (), NOW_MS)] * 3)
    topic = CreateTopicsRequest.CreatableTopic(
        name="many", num_partitions=PARTITIONS, replication_factor=1
    )
    async with kafka_py.Broker(data=data) as broker:
        made = await broker.node.submit(CreateTopicsRequest(topics=[topic], timeout_ms=60_000))
        assert made.topics[0].error_code == 0
        for partition in broker.node.replicas.partitions():
            assert partition.log is not None
            partition.log.append(batch, leader_epoch=0, now_ms=NOW_MS)


async def start_again(data: Path) -> None:
    """What the second start does."""
    before, memory = syscalls.counts(), resident_bytes()
    began = time.monotonic()
    async with kafka_py.Broker(data=data) as broker:
        assert time.monotonic() - began < START_S_MAX
        calls = {name: count - before[name] for name, count in syscalls.counts().items()}
        grown = resident_bytes() - memory
        led = [p for p in broker.node.replicas.partitions() if p.leads and not p.offline]
        assert [p.high_watermark for p in led] == [3] * PARTITIONS
    assert calls["open"] <= OPENS_A_PARTITION * PARTITIONS + 100
    for rare in ("fsync", "fdatasync", "pwrite", "rename", "unlink", "mmap"):
        assert calls[rare] <= 50, (rare, calls)
    assert grown <= BYTES_A_PARTITION_MAX * PARTITIONS
