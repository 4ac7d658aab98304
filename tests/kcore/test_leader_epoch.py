"""kcore.leader_epoch: KIP-101's rules, and the file that Apache Kafka 4.3.1 writes."""

import pytest

from kcore.errors import CorruptFile
from kcore.leader_epoch import UNDEFINED_EPOCH, UNDEFINED_OFFSET, EpochStart, LeaderEpochCache

# Written by Apache 4.3.1: started twice, with records before offset 10 deleted in between.
APACHE = b"0\n2\n0 10\n2 100\n"


def cache(*entries):
    return LeaderEpochCache(list(entries))


def test_empty():
    empty = LeaderEpochCache()
    assert (len(empty), empty.latest, empty.earliest, empty.entries()) == (0, None, None, [])
    assert empty.epoch_for_offset(0) is None
    assert empty.end_offset_for(0, 10) == (UNDEFINED_EPOCH, UNDEFINED_OFFSET)
    assert empty.previous_epoch(3) is None
    assert not empty.truncate_from_end(0)
    assert not empty.truncate_from_start(5)
    assert empty.encode() == b"0\n0\n"


def test_assign_says_whether_the_file_must_be_written():
    made = LeaderEpochCache()
    assert made.assign(0, 0)
    assert not made.assign(0, 0)
    assert not made.assign(0, 50)
    assert made.assign(2, 60)
    assert made.entries() == [EpochStart(0, 0), EpochStart(2, 60)]
    assert made.latest == 2
    assert made.earliest == (0, 0)


@pytest.mark.parametrize(
    ("epoch", "start", "left"),
    [
        (3, 30, [(0, 0), (1, 10), (2, 20), (3, 30)]),
        (3, 20, [(0, 0), (1, 10), (3, 20)]),  # nothing was written under epoch 2
        (3, 15, [(0, 0), (1, 10), (3, 15)]),
        (3, 0, [(3, 0)]),
        (2, 15, [(0, 0), (1, 10), (2, 15)]),  # the same epoch, earlier
        (1, 25, [(0, 0), (1, 25)]),  # an older epoch overrules what claims to be newer
        (1, 5, [(0, 0), (1, 5)]),
    ],
)
def test_contradicting_entries_go(epoch, start, left):
    made = cache((0, 0), (1, 10), (2, 20))
    assert made.assign(epoch, start)
    assert made.entries() == left


def test_negative_numbers_are_refused():
    for pair in ((-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="negative"):
            cache(pair)


def test_end_offset_for():
    made = cache((2, 10), (4, 20), (7, 50))
    assert made.end_offset_for(7, 90) == (7, 90)
    assert made.end_offset_for(4, 90) == (4, 50)
    assert made.end_offset_for(5, 90) == (4, 50)
    assert made.end_offset_for(6, 90) == (4, 50)
    assert made.end_offset_for(2, 90) == (2, 20)
    assert made.end_offset_for(3, 90) == (2, 20)
    # Older than all: where the log begins now.
    assert made.end_offset_for(1, 90) == (1, 10)
    assert made.end_offset_for(8, 90) == (-1, -1)
    assert made.end_offset_for(-1, 90) == (-1, -1)


def test_epoch_for_offset():
    made = cache((2, 10), (4, 20), (7, 50))
    expected = {9: None, 10: 2, 19: 2, 20: 4, 49: 4, 50: 7, 10**15: 7}
    assert {offset: made.epoch_for_offset(offset) for offset in expected} == expected
    assert [made.previous_epoch(epoch) for epoch in (2, 3, 4, 7, 99)] == [None, 2, 2, 4, 7]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (51, [(2, 10), (4, 20), (7, 50)]),
        (50, [(2, 10), (4, 20)]),
        (21, [(2, 10), (4, 20)]),
        (20, [(2, 10)]),
        (0, []),
        (-1, [(2, 10), (4, 20), (7, 50)]),
    ],
)
def test_truncate_from_end(end, left):
    made = cache((2, 10), (4, 20), (7, 50))
    assert made.truncate_from_end(end) == (len(left) < 3)
    assert made.entries() == left


@pytest.mark.parametrize(
    ("start", "left", "changed"),
    [
        (9, [(2, 10), (4, 20), (7, 50)], False),
        (10, [(2, 10), (4, 20), (7, 50)], False),
        (11, [(2, 11), (4, 20), (7, 50)], True),
        (20, [(4, 20), (7, 50)], True),
        (35, [(4, 35), (7, 50)], True),
        (90, [(7, 90)], True),
    ],
)
def test_truncate_from_start(start, left, changed):
    made = cache((2, 10), (4, 20), (7, 50))
    assert made.truncate_from_start(start) is changed
    assert made.entries() == left


def test_many_epochs():
    made = LeaderEpochCache()
    for epoch in range(1000):
        assert made.assign(epoch, epoch * 10)
    assert [made.epoch_for_offset(offset) for offset in (0, 5555, 9999)] == [0, 555, 999]
    made.clear()
    assert made.entries() == []


def test_apaches_file():
    made = LeaderEpochCache.decode(APACHE)
    assert made.entries() == [(0, 10), (2, 100)]
    assert made.encode() == APACHE


@pytest.mark.parametrize(
    ("data", "position", "reason"),
    [
        (b"1\n0\n", 0, "version 1, not 0"),
        (b"\n", 0, "the version is ''"),
        (b"0\n", 2, "count of entries is missing"),
        (b"0\n2\n0 0\n", 2, "2 entries announced, 1 there"),
        (b"0\nx\n0 0\n", 2, "the count of entries is 'x'"),
        (b"0\n1\n0\n", 4, "not `epoch start_offset`"),
        (b"0\n1\n0 0 0\n", 4, "not `epoch start_offset`"),
        (b"0\n1\n-1 0\n", 4, "negative"),
        (b"0\n1\n4294967296 0\n", 4, "out of range"),
        (b"0\n2\n3 10\n2 20\n", 9, "does not lie after"),
        (b"0\n2\n3 10\n4 10\n", 9, "does not lie after"),
        (b"0\n1\n\xff 0\n", 4, "not UTF-8"),
    ],
)
def test_damaged_files_are_named(data, position, reason):
    with pytest.raises(CorruptFile, match=reason) as caught:
        LeaderEpochCache.decode(data, "dir/leader-epoch-checkpoint")
    assert caught.value.where == "dir/leader-epoch-checkpoint"
    assert caught.value.position == position
