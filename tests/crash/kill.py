"""kill -9 at random moments under acks=all load: ``python -m tests.crash.kill --cycles N``.

A cycle: load, SIGKILL, restart (in one of five cycles killed again while it starts), read all
partitions back and judge them, send again what was in flight, go on. Every 50 cycles a new
directory, and a line in the ledger. Runs go on where the ledger ends. With several log.dirs the
partitions move between them meanwhile.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.crash import campaign, ledger
from tests.crash.load import Violation
from tests.crash.moving import MovingLoad, load_for
from tests.oracle import apache
from tests.oracle.node import Node

ROW = "kill"
CYCLES_PER_BATCH = 50
#: Apache's controller waits this long until it lets a killed broker register again.
PROPERTIES = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}


class KillRun:
    """Cycles on one directory, all decided by one seed."""

    def __init__(self, node: Node, seed: int) -> None:
        """``node`` is started by ``run``."""
        self.node = node
        self.load = load_for(node, seed)
        self.random = random.Random(seed)
        self.faults = {"kill": 0, "kill_while_starting": 0}
        self.cycles_done = 0
        self.records = 0

    def run(self, cycles: int) -> None:
        """So many cycles, then a clean stop and a last look. Raises Violation."""
        self.node.start()
        self.load.create(self.node.port)
        for _ in range(cycles):
            self.cycle()
        self.load.start(self.node.port)
        self.load.drain()
        if isinstance(self.load, MovingLoad):
            self.load.verify_places(self.node.port)
        self.records = self.load.verify(self.node.port, complete=True)
        self.node.stop()
        self.node.start()
        if self.load.verify(self.node.port, complete=True) != self.records:
            raise Violation("a clean stop changed what can be read")
        self.node.stop()
        if self.load.acknowledged < cycles * 20:
            raise Violation(f"only {self.load.acknowledged} records in {cycles} cycles: no load")

    def cycle(self) -> None:
        """One kill and all that follows."""
        self.load.start(self.node.port)
        time.sleep(self.random.uniform(0.02, 0.5))
        self.node.kill()
        self.faults["kill"] += 1
        self.load.join()
        while self.random.random() < 0.2:
            self.node.launch()
            time.sleep(self.random.uniform(0.0, 0.8))
            self.node.kill()
            self.faults["kill_while_starting"] += 1
        self.node.start()
        self.load.verify(self.node.port)
        self.cycles_done += 1


def batch(
    seed: int,
    cycles: int,
    properties: Mapping[str, str],
    *,
    row: str = ROW,
    run_type: type[KillRun] = KillRun,
) -> dict[str, object]:
    """One ledger line; its result is ``ok`` or the violation, then with the kept directory."""
    cpu, started = ledger.cpu_s(), time.monotonic()
    with apache.temporary_directory(row) as directory:
        run = run_type(apache.node_under_test(directory, {**PROPERTIES, **properties}), seed)
        result = "ok"
        try:
            run.run(cycles)
        except Exception as e:
            result = f"{type(e).__name__}: {e}"
            kept = Path(f"{directory}.failed")
            run.node.kill()
            directory.rename(kept)
            print(f"seed {seed}: {result}\nkept: {kept}", file=sys.stderr)
        finally:
            run.node.kill()
    return {
        "row": row,
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
    return campaign.run(__doc__, ROW, batch, cycles_per_batch=CYCLES_PER_BATCH)


if __name__ == "__main__":
    sys.exit(main())
