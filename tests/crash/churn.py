"""kill -9 while topics are deleted and made anew: ``python -m tests.crash.churn --cycles N``.

A cycle: load, and now and then the topic is deleted and made again under its name; SIGKILL at a
random moment, restart, read all partitions back and judge them. What the directory still tells of
the topic before must not be taken for the new one: checkpoints are written often, so that they are
there, and not so often that they are right.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from tests.crash import campaign, kill
from tests.crash.kill import KillRun

ROW = "churn"
CYCLES_PER_BATCH = 50
PROPERTIES = {
    **kill.PROPERTIES,
    "log.flush.offset.checkpoint.interval.ms": "300",
    "log.flush.start.offset.checkpoint.interval.ms": "300",
    "replica.high.watermark.checkpoint.interval.ms": "300",
}


class ChurnRun(KillRun):
    """Cycles on one directory, all decided by one seed."""

    def cycle(self) -> None:
        """The load stops, its topic is another one, the load goes on, and the node is killed."""
        if self.random.random() < 0.7:
            self.load.start(self.node.port)
            time.sleep(self.random.uniform(0.05, 0.5))
            self.load.drain()
            self.load.remake(self.node.port, self.random.randrange(1 << 30))
            self.faults["topic_made_anew"] = self.faults.get("topic_made_anew", 0) + 1
        super().cycle()


def batch(seed: int, cycles: int, properties: Mapping[str, str]) -> dict[str, Any]:
    """One ledger line."""
    return kill.batch(seed, cycles, {**PROPERTIES, **properties}, row=ROW, run_type=ChurnRun)


def main() -> int:
    """The command line."""
    return campaign.run(__doc__, ROW, batch, cycles_per_batch=CYCLES_PER_BATCH)


if __name__ == "__main__":
    sys.exit(main())
