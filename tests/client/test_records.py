"""What a consumer sees of fetched batches: control batches, aborted transactions, cuts."""

import pytest

import kcore
from kafka_py.client.records import readable
from kafka_py.client.types import TopicPartition
from kcore.errors import BadCrc

PARTITION = TopicPartition("t", 0)


def plain(offset, count, **options):
    """A batch of records that name their offsets."""
    return kcore.build(
        [(None, b"%d" % (offset + i)) for i in range(count)], base_offset=offset, **options
    )


def transactional(offset, count, producer):
    """A batch of a transaction."""
    return plain(
        offset, count, producer_id=producer, producer_epoch=0, base_sequence=0, transactional=True
    )


def marker(offset, producer, committed):
    """The end of a transaction."""
    return kcore.batch_builder.build_end_marker(
        committed,
        producer_id=producer,
        producer_epoch=0,
        coordinator_epoch=0,
        timestamp=0,
        base_offset=offset,
    )


def values(records):
    """The offsets that the records name."""
    return [int(record.value) for record in records]


LOG = b"".join(
    (
        transactional(0, 2, 7),
        plain(2, 1),
        transactional(3, 1, 8),
        marker(4, 7, False),
        transactional(5, 1, 7),
        marker(6, 8, True),
        marker(7, 7, True),
        plain(8, 2),
    )
)


def test_uncommitted_leaves_out_markers_only():
    found = readable(PARTITION, LOG, 0)
    assert values(found) == [0, 1, 2, 3, 5, 8, 9]
    assert (found.start, found.end, len(found)) == (0, 10, 7)


def test_committed_leaves_out_what_was_aborted_until_its_marker():
    found = readable(PARTITION, LOG, 0, [(0, 7)])
    assert values(found) == [2, 3, 5, 8, 9]
    assert found.end == 10


def test_a_position_within_a_batch_and_a_cut_last_batch():
    found = readable(PARTITION, LOG[:-1], 1, [])
    assert values(found) == [1, 2, 3, 5]
    assert found.end == 8


def test_split_within_a_batch():
    head, tail = readable(PARTITION, LOG, 1).split(5)
    assert values(head) == [1, 2, 3, 5, 8]
    assert (head.end, tail.start) == (9, 9)
    assert values(tail) == [9]
    assert tail.split(1) == (tail, None)
    assert [list(columns["offset"]) for columns in tail.columns()] == [[9]]


def test_damage_is_found():
    damaged = bytearray(plain(0, 1))
    damaged[-1] ^= 1
    with pytest.raises(BadCrc):
        readable(PARTITION, bytes(damaged), 0)
