"""The sides take turns; a case that fails costs itself, not the run."""

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


def test_each_side_comes_first_every_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ours: Any = argparse.Namespace(kind="kafka_py")
    theirs: Any = argparse.Namespace(kind="apache")
    case = next(case for case in CASES if case.kind == "client-consume")
    order: list[str] = []

    def one_pass(case: Any, node: Any, *_: Any) -> Any:
        order.append(node.kind)
        return {"requests_per_s": float(len(order))}

    monkeypatch.setattr(compare, "one_pass", one_pass)
    monkeypatch.setattr(compare, "warm_up", lambda *_: None)
    arguments = argparse.Namespace(warm=0.0, seconds=1.0, passes=3, cold_memory=True)
    topics: Any = {"kafka_py": None, "apache": None}
    best = compare.compare_case(case, [ours, theirs], topics, arguments, Path())
    assert order == ["kafka_py", "apache", "apache", "kafka_py", "kafka_py", "apache"]
    assert (best["kafka_py"]["requests_per_s"], best["apache"]["requests_per_s"]) == (5.0, 6.0)
