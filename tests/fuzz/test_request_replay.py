"""The request fuzzer's corpus, and a short run from a fixed seed."""

import pytest

from kafka_py.protocol.headers import ResponseHeader
from tests.fuzz.request import CORPUS, Finding, Fuzzer, check, replay


def test_the_corpus_has_no_finding() -> None:
    assert replay(CORPUS) >= 10


def test_a_short_run_has_no_finding() -> None:
    fuzzer = Fuzzer(20)
    for _ in range(3000):
        fuzzer.once()
    assert 300 < fuzzer.good < 1500


def test_the_fuzzer_can_find_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that lets an exception of its own out is a finding."""

    def fails(*_: object) -> tuple[ResponseHeader, int]:
        raise ZeroDivisionError

    monkeypatch.setitem(ResponseHeader._decoders, 0, fails)
    with pytest.raises(Finding, match="ZeroDivisionError"):
        check("ResponseHeader-0", bytes(4))
