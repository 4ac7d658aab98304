"""The sides take turns; a case that fails costs itself, not the run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")

from bench import compare, measure
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

    forgotten: list[str] = []
    monkeypatch.setattr(compare, "compare_case", measured)
    monkeypatch.setattr(measure.Topics, "forget", lambda _, case: forgotten.append(case.name))
    results, failed = compare.compare([side], list(cases), argparse.Namespace(), Path())
    assert forgotten == list(results)
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


@pytest.mark.parametrize(("mb_per_s", "seconds"), [(100.0, 0.4), (1600.0, 0.4), (6400.0, 0.25)])
def test_passes_of_large_requests_end_before_writers_wait_for_the_disk(
    monkeypatch: pytest.MonkeyPatch, mb_per_s: float, seconds: float
) -> None:
    ours: Any = argparse.Namespace(kind="kafka_py")
    theirs: Any = argparse.Namespace(kind="apache")
    case = next(case for case in CASES if case.name == "produce-1mb")
    windows: list[tuple[float, float]] = []

    def one_pass(case: Any, node: Any, topics: Any, seconds: float, warm: float) -> Any:
        windows.append((seconds, warm))
        return {"requests_per_s": 1.0, "request_mb_per_s": mb_per_s if node is ours else 50.0}

    monkeypatch.setattr(compare, "one_pass", one_pass)
    monkeypatch.setattr(compare, "warm_up", lambda *_: None)
    monkeypatch.setattr(compare.limits, "run", lambda *_: None)
    monkeypatch.setattr(compare.memory, "unwritten_max", lambda: 3_000_000_000)
    arguments = argparse.Namespace(warm=0.0, seconds=4.0, passes=1, cold_memory=True)
    topics: Any = {"kafka_py": None, "apache": None}
    compare.compare_case(case, [ours, theirs], topics, arguments, Path())
    glances, passes = windows[:2], windows[2:]
    assert all(glance[0] < 0.5 for glance in glances)
    wanted = (pytest.approx(seconds), pytest.approx(seconds / 2))
    assert passes == [wanted] * 2 * compare.FILL_PASSES


def test_what_writes_gigabytes_in_small_requests_has_memory_at_hand_too() -> None:
    filling = {case.name for case in CASES if case.fills_memory}
    assert {"produce-d64", "produce-d16x8", "produce-1mb", "rdkafka-produce-100"} <= filling
    assert not {"produce-d1", "produce-d1-all", "fetch-1mb"} & filling


def test_a_topic_that_passes_share_goes_with_its_case() -> None:
    """Otherwise what it holds of the page cache is missing in every case behind it."""
    case = next(case for case in CASES if case.partitions > 1)
    made: list[str] = []
    dropped: list[str] = []

    class Admin:
        """Makes and deletes at once."""

        def create_topics(self, topics: list[Any]) -> dict[str, Any]:
            made.extend(topic.topic for topic in topics)
            return {topic.topic: Future() for topic in topics}

        def delete_topics(self, names: list[str]) -> dict[str, Any]:
            dropped.extend(names)
            return {name: Future() for name in names}

        def list_offsets(self, asked: dict[Any, Any], **_: Any) -> dict[Any, Any]:
            return {partition: Future() for partition in asked}

    class Future:
        """Done."""

        def result(self, _: float) -> None:
            return None

    side: Any = Side()
    topics: Any = measure.Topics(side)
    topics._admin = Admin()
    name = topics.fresh(case)
    topics.drop(name)
    assert (topics.fresh(case), made, dropped) == (name, [name], [])
    topics.forget(case)
    topics.forget(case)
    assert dropped == [name]
    assert topics.fresh(case) != name
