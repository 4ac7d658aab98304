"""Power cuts under acks=all load: ``python -m tests.crash.power --cycles N`` (needs root).

A cycle: load, SIGSTOP the broker, copy the disk image, kill the broker, mount the copy, start on
it, read all partitions back and judge them, send again what was in flight, go on. Whatever was
acknowledged before the copy began must be there. That the cut is real shows a broker that is told
not to flush (``--set kafka_py.flush.policy=none`` ours, none for Apache's): it must lose records.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.crash import campaign, ledger
from tests.crash.image import SHM, Disk, missing
from tests.crash.kill import PROPERTIES
from tests.crash.load import Violation
from tests.crash.moving import MovingLoad, load_for
from tests.oracle import apache
from tests.oracle.node import Node

ROW = "power"
CYCLES_PER_BATCH = 25


class PowerRun:
    """Cycles on one disk, all decided by one seed."""

    def __init__(self, node: Node, disk: Disk, seed: int) -> None:
        """The node's log directory lies on the disk; its printed log does not."""
        self.node = node
        self.disk = disk
        self.load = load_for(node, seed)
        self.random = random.Random(seed)
        self.faults = {"cut": 0, "cut_while_starting": 0, "cut_with_batches_in_flight": 0}
        self.cycles_done = 0

    def run(self, cycles: int) -> None:
        """So many cycles, then everything is sent and read. Raises Violation."""
        self.node.start()
        self.load.create(self.node.port)
        if self.node.kind == "apache":
            # Apache's does not survive a cut right after its format: bootstrap.checkpoint is
            # not flushed. Ours gets no such grace.
            self.disk.sync()
        for _ in range(cycles):
            self.cycle()
        self.load.start(self.node.port)
        self.load.drain()
        if isinstance(self.load, MovingLoad):
            self.load.verify_places(self.node.port)
        self.load.verify(self.node.port, complete=True)
        self.node.stop()
        if self.load.acknowledged < cycles * 20:
            raise Violation(f"only {self.load.acknowledged} records in {cycles} cycles: no load")

    def cycle(self) -> None:
        """One cut and all that follows."""
        self.load.start(self.node.port)
        time.sleep(self.random.uniform(0.05, 0.6))
        self.cut()
        self.load.join()
        in_flight = sum(len(p.batches) - p.acknowledged for p in self.load.producers)
        self.faults["cut_with_batches_in_flight"] += in_flight > 0
        while self.random.random() < 0.15:
            self.node.launch()
            time.sleep(self.random.uniform(0.0, 0.8))
            self.cut()
            self.faults["cut_while_starting"] += 1
        self.node.start()
        self.load.verify(self.node.port)
        self.cycles_done += 1

    def cut(self) -> None:
        """Everything stops at one instant; then the node has the disk as it was at that instant."""
        assert self.node.process is not None
        self.node.process.send_signal(signal.SIGSTOP)
        self.disk.copy()
        self.node.kill()
        self.disk.switch()
        self.faults["cut"] += 1


def batch(seed: int, cycles: int, properties: Mapping[str, str]) -> dict[str, object]:
    """One ledger line; its result is ``ok`` or the violation."""
    cpu, started = ledger.cpu_s(), time.monotonic()
    disk = Disk(Path(tempfile.mkdtemp(prefix="kafka-py-power-", dir=SHM)))
    with apache.temporary_directory("power") as directory:
        settings = {**PROPERTIES, **properties, "log.dirs": str(disk.mount_point / "data")}
        run = PowerRun(apache.node_under_test(directory, settings), disk, seed)
        result = "ok"
        try:
            run.run(cycles)
        except Exception as e:
            result = f"{type(e).__name__}: {e}"
        finally:
            run.node.kill()
            disk.close()
    return {
        "row": ROW,
        "against": apache.against(),
        "commit": ledger.commit(),
        "seeds": [seed, seed],
        "cycles": run.cycles_done,
        "ops": run.load.acknowledged,
        "resent_batches": run.load.resent,
        "faults": run.faults,
        "properties": dict(properties),
        "result": result,
        "wall_s": round(time.monotonic() - started, 1),
        "cpu_s": round(ledger.cpu_s() - cpu, 1),
    }


def main() -> int:
    """The command line."""
    absent = missing()
    if absent:
        print(absent, file=sys.stderr)
        return 2
    return campaign.run(__doc__, ROW, batch, cycles_per_batch=CYCLES_PER_BATCH)


if __name__ == "__main__":
    sys.exit(main())
