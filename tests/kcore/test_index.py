"""The three indexes: Kafka's bytes, searches against a plain list, damaged files."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.errors import CorruptFile
from kcore.index import AbortedTransaction, OffsetIndex, TimeIndex, TransactionIndex

ASCENDING = st.lists(st.integers(1, 1000), min_size=0, max_size=60).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(offsets=ASCENDING, base=st.integers(0, 2**40), target=st.integers(-5, 70_000))
def test_offset_index_finds_what_a_list_finds(offsets: list[int], base: int, target: int) -> None:
    index = OffsetIndex("/nowhere", base)
    for place, offset in enumerate(offsets):
        index.add(base + offset, 100 * (place + 1))
    below = [100 * (place + 1) for place, offset in enumerate(offsets) if offset <= target]
    assert index.lookup(base + target) == (below[-1] if below else 0)
    assert [tuple(e) for e in index.as_array()] == [
        (offset, 100 * (place + 1)) for place, offset in enumerate(offsets)
    ]


def test_offset_index_bytes_are_kafkas(tmp_path: Path) -> None:
    path = str(tmp_path / "00000000000000000100.index")
    index = OffsetIndex(path, 100)
    index.add(105, 0)
    index.add(100 + 2**31 - 1, 4242)
    index.write()
    expected = struct.pack(">iiii", 5, 0, 2**31 - 1, 4242)
    assert Path(path).read_bytes() == expected == bytes(index.view)
    again = OffsetIndex(path, 100)
    again.load(5000)
    assert len(again) == 2
    assert again.lookup(2**40) == 4242


def test_offset_index_refuses_what_does_not_follow() -> None:
    index = OffsetIndex("/nowhere", 100)
    index.add(110, 5)
    for offset in (110, 99, 100 + 2**31):
        with pytest.raises(ValueError):
            index.add(offset, 9)


def test_views_keep_what_they_showed() -> None:
    index = OffsetIndex("/nowhere", 0)
    index.add(1, 10)
    index.add(2, 20)
    view = index.view
    before = bytes(view)
    index.truncate_to(2)
    index.add(7, 70)
    for offset in range(8, 200):
        index.add(offset, offset * 10)
    assert bytes(view) == before
    assert view.readonly
    assert len(index) == 194


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 7,
        struct.pack(">iiii", 5, 10, 5, 20),
        struct.pack(">iiii", 5, 10, 6, 10),
        struct.pack(">iiii", 5, 10, 0, 0),
        struct.pack(">ii", 5, 1000),
        struct.pack(">ii", -1, 10),
    ],
)
def test_a_lying_offset_index_is_not_loaded(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    path.write_bytes(content)
    with pytest.raises(CorruptFile):
        OffsetIndex(str(path), 0).load(1000)


def test_time_index_takes_only_growing_timestamps(tmp_path: Path) -> None:
    path = str(tmp_path / "x.timeindex")
    index = TimeIndex(path, 10)
    index.add(1000, 12)
    index.add(1000, 15)
    index.add(900, 16)
    index.add(2000, 20)
    index.write()
    assert Path(path).read_bytes() == struct.pack(">qiqi", 1000, 2, 2000, 10)
    assert [index.lookup(t) for t in (999, 1000, 1999, 2000, 5000)] == [10, 12, 12, 20, 20]
    index.truncate_to(20)
    assert len(index) == 1
    again = TimeIndex(path, 10)
    again.load(21)
    assert len(again) == 2
    with pytest.raises(CorruptFile):
        again.load(20)


def test_a_full_time_index_keeps_one_place_for_the_end() -> None:
    index = TimeIndex("/nowhere", 0, bytes_max=36)
    index.add(1, 1)
    index.add(2, 2)
    with pytest.raises(ValueError, match="full"):
        index.add(3, 3)
    index.add(3, 3, when_full=True)
    assert len(index) == 3


def test_transaction_index_bytes_are_kafkas(tmp_path: Path) -> None:
    path = tmp_path / "x.txnindex"
    index = TransactionIndex(str(path))
    assert len(index) == 0
    assert not index.exists
    index.append(AbortedTransaction(5, 10, 20, 8))
    index.append(AbortedTransaction(6, 12, 30, 12))
    assert path.read_bytes() == struct.pack(">hqqqq", 0, 5, 10, 20, 8) + struct.pack(
        ">hqqqq", 0, 6, 12, 30, 12
    )
    again = TransactionIndex(str(path))
    assert again.collect(0, 11) == ([AbortedTransaction(5, 10, 20, 8)], True)
    assert again.collect(21, 100) == ([AbortedTransaction(6, 12, 30, 12)], False)
    with pytest.raises(ValueError, match="does not follow"):
        again.append(AbortedTransaction(7, 1, 30, 1))
    again.truncate_to(25)
    assert path.stat().st_size == 34
    again.truncate_to(0)
    assert not path.exists()


def test_a_damaged_transaction_index_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.txnindex"
    for content in (b"\0" * 33, b"\0\1" + b"\0" * 32, struct.pack(">hqqqq", 0, 1, 1, 1, 1) * 2):
        path.write_bytes(content)
        with pytest.raises(CorruptFile):
            TransactionIndex(str(path)).load()
