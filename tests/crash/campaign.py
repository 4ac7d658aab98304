"""The command line that the crash harnesses share: batches of cycles, a ledger row each."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from tests.crash import ledger
from tests.oracle import apache

#: Runs so many cycles of a seed under these broker properties; the row of the ledger.
Batch = Callable[[int, int, Mapping[str, str]], dict[str, Any]]


def run(about: str | None, row: str, batch: Batch, *, cycles_per_batch: int) -> int:
    """Parse the arguments, run the batches, append their rows; 1 when one of them failed.

    A seed that is run again and a run against Apache are printed and not entered.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--cycles", type=int, default=cycles_per_batch, help="how many in all")
    parser.add_argument(
        "--seed", type=int, help=f"run this seed again, {cycles_per_batch} cycles, no ledger"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    properties = dict(pair.split("=", 1) for pair in args.set)
    left = args.cycles
    failed = 0
    while left > 0:
        seed = args.seed if args.seed is not None else ledger.next_seed(row)
        line = batch(seed, min(left, cycles_per_batch), properties)
        if args.seed is None and apache.against() == "kafka_py":
            ledger.append(line)
        failed += line["result"] != "ok"
        left -= cycles_per_batch
        print(f"{line}", flush=True)
    return 1 if failed else 0
