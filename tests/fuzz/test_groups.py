"""A short run of the groups fuzzer from a fixed seed."""

from pathlib import Path

import pytest

from tests.fuzz import groups
from tests.fuzz.groups import Finding, Fuzzer


def test_a_short_run_has_no_finding(tmp_path: Path) -> None:
    fuzzer = Fuzzer(20, tmp_path)
    for _ in range(4000):
        fuzzer.once()
    assert 300 < fuzzer.taken < 3000


def test_the_fuzzer_can_find_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A general path that answers otherwise is a finding."""
    fuzzer = Fuzzer(21, tmp_path)
    monkeypatch.setattr(groups, "general_answer", lambda *_: b"otherwise")
    monkeypatch.setattr(groups, "general_commit", lambda *_: b"otherwise")

    def run() -> None:
        for _ in range(1000):
            fuzzer.once()

    with pytest.raises(Finding, match="is right"):
        run()
