"""The ledger: one JSON line a batch of cycles; what has been run so far, and with which seeds."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

PATH = Path(__file__).resolve().parent / "ledger.jsonl"


def rows(path: Path = PATH) -> list[dict]:  # type: ignore[type-arg]
    """All lines so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def next_seed(row: str, path: Path = PATH) -> int:
    """The first seed that no line of this row has used."""
    return max((r["seeds"][1] + 1 for r in rows(path) if r["row"] == row), default=1)


def append(line: dict[str, object], path: Path = PATH) -> None:
    """Append one line."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def commit() -> str:
    """The commit that runs, with a + when files of the program differ from it."""
    here = Path(__file__).resolve().parent
    run = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or "unknown"


def cpu_s() -> float:
    """CPU seconds of this process and of all its ended children."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(u.ru_utime + u.ru_stime for u in usages)
