"""A case that fails costs itself, not the run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")

from bench import compare
from bench.cases import CASES
from tests.oracle.node import NodeFailed


class Side:
    """A node that counts its starts; its first stop hangs."""

    kind = "kafka_py"
    bootstrap = "127.0.0.1:1"

    def __init__(self) -> None:
        self.starts = 0
        self.stops = 0

    def log_tail(self) -> str:
        return "no leader"

    def stop(self) -> int:
        self.stops += 1
        if self.stops == 1:
            raise NodeFailed("hangs")
        return 0

    def start(self) -> None:
        self.starts += 1


@pytest.mark.parametrize(
    "error", [TimeoutError("not every partition is led"), NodeFailed("dead"), None]
)
def test_the_others_are_still_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception | None
) -> None:
    side: Any = Side()
    cases = CASES[:3]

    def measured(case: Any, *_: Any) -> Any:
        if case is cases[1] and error is not None:
            raise error
        return {"kafka_py": {"requests_per_s": 1.0}}

    monkeypatch.setattr(compare, "compare_case", measured)
    results, failed = compare.compare([side], list(cases), argparse.Namespace(), Path())
    said = capsys.readouterr().err
    if error is None:
        assert (len(results), failed, side.starts) == (3, [], 0)
        return
    assert (set(results), failed) == ({cases[0].name, cases[2].name}, [cases[1].name])
    assert (side.stops, side.starts) == (1, 1)
    assert f"{cases[1].name} failed: {error!r}" in said
    assert "no leader" in said


def test_what_is_a_mistake_of_ours_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: Any) -> Any:
        raise KeyError("p50_ms")

    monkeypatch.setattr(compare, "compare_case", measured)
    with pytest.raises(KeyError):
        compare.compare([Side()], [CASES[0]], argparse.Namespace(), Path())  # type: ignore[list-item]
