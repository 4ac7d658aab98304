"""The bench of compressed produce on one and more CPUs: its batches, its table, a pass of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import scaling
from kcore.record_batch import RecordBatch
from tests.oracle.node import OurNode, free_port_pair


@pytest.mark.parametrize("codec", scaling.CODECS)
def test_batches_are_on_the_side_of_the_loop_that_they_stand_for(codec: str) -> None:
    """Small ones are checked on the event loop, large ones by workers."""
    from kafka_py.server.broker import OFF_LOOP_BYTES

    assert len(scaling.batch("small", codec)) < OFF_LOOP_BYTES < len(scaling.batch("large", codec))
    assert scaling.batch("large", codec) == scaling.batch("large", codec)
    assert len(list(RecordBatch(scaling.batch("small", codec)))) == 16


def test_the_table_says_megabytes_and_how_much_more_two_are() -> None:
    one = {"requests_per_s": 100.0, "broker_cpu_us_per_request": 500.0}
    two = {"requests_per_s": 150.0, "broker_cpu_us_per_request": 600.0}
    row = scaling.Row("kafka_py", "zstd", "large", 400_000, {1: one, 2: two})
    assert (row.rate_mb(1), row.rate_mb(2)) == (40.0, 60.0)
    assert row.cpu_ms_mb(1) == 1.25
    line = scaling.table([row], [1, 2]).splitlines()[1].split()
    assert line == ["kafka_py", "zstd", "large", "40.00", "60.00", "1.25", "1.50", "1.50"]


def test_a_node_is_held_to_its_cpus(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    node = scaling.held(OurNode(tmp_path, free_port_pair(20300, 20398)), [cpu])
    with node, scaling.kept_off([cpu]):
        assert os.sched_getaffinity(node.pid) == {cpu}
        figures = scaling.produce(node, "small", "lz4", seconds=0.2, warm=0.0)
    assert figures["requests"] > 10
