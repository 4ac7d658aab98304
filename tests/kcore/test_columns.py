"""Columns agree with iteration, whatever the codecs, and refuse what iteration refuses."""

import struct

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kcore
from kcore import Codec, RecordBatch, build, decode_columns
from kcore.crc32c import crc32c

COLUMNS = {
    "offset": numpy.int64,
    "timestamp": numpy.int64,
    "key_position": numpy.int64,
    "key_length": numpy.int32,
    "value_position": numpy.int64,
    "value_length": numpy.int32,
}
blobs = st.none() | st.binary(max_size=30)
batches = st.lists(
    st.tuples(
        st.sampled_from(list(Codec)),
        st.lists(
            st.tuples(blobs, blobs, st.just([("h", b"x")]), st.integers(0, 2**42)),
            min_size=1,
            max_size=6,
        ),
    ),
    max_size=5,
)


def rows(buffer: bytes, **options: object) -> list[tuple]:
    """The columns put back together."""
    columns = decode_columns(buffer, **options)
    arena = memoryview(columns["arena"])

    def cut(position: int, length: int) -> bytes | None:
        return None if length < 0 else bytes(arena[position : position + length])

    return [
        (offset, timestamp, cut(kp, kl), cut(vp, vl))
        for offset, timestamp, kp, kl, vp, vl in zip(
            *(columns[name].tolist() for name in COLUMNS), strict=True
        )
    ]


def iterated(buffer: bytes) -> list[tuple]:
    return [
        (r.offset, r.timestamp, r.key, r.value)
        for b in kcore.batches(buffer)
        if not b.is_control
        for r in b
    ]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(batches)
def test_columns_are_what_iteration_gives(runs: list) -> None:
    base, buffer = 1000, b""
    for codec, items in runs:
        buffer += build(items, compression=codec, base_offset=base)
        base += len(items) + 3
    assert rows(buffer) == iterated(buffer)


@pytest.mark.parametrize("codec", list(Codec))
def test_types_and_arena(codec: Codec) -> None:
    buffer = build([(b"k", b"v" * 9)] * 3, compression=codec)
    columns = decode_columns(buffer)
    assert {name: columns[name].dtype for name in COLUMNS} == COLUMNS
    assert (columns["arena"] is buffer) == (codec is Codec.NONE)


def test_nothing_has_empty_columns() -> None:
    assert rows(b"") == []
    empty = bytearray(build([(b"k", b"v")])[:61])
    struct.pack_into(">i", empty, 8, 49)
    struct.pack_into(">i", empty, 57, 0)
    struct.pack_into(">I", empty, 17, crc32c(empty[21:]))
    assert rows(bytes(empty)) == []


def test_control_batches_on_request() -> None:
    marker = kcore.build_end_marker(
        True, producer_id=1, producer_epoch=0, coordinator_epoch=1, timestamp=5, base_offset=1
    )
    buffer = build([(b"k", b"v", (), 3)]) + marker
    assert [row[0] for row in rows(buffer)] == [0]
    assert [row[0] for row in rows(buffer, include_control=True)] == [0, 1]


def test_log_append_time() -> None:
    buffer = build([(b"k", b"v", (), i) for i in range(3)], timestamp_type=1, log_append_time_ms=42)
    assert [row[1] for row in rows(buffer)] == [42] * 3


def test_partial_batches_on_request() -> None:
    one, two = build([(b"a", b"1")]), build([(b"b", b"2")], base_offset=1)
    assert [row[2] for row in rows(one + two[:-1], allow_partial=True)] == [b"a"]
    with pytest.raises(kcore.CorruptBatch) as caught:
        decode_columns(one + two[:-1])
    assert caught.value.position == len(one)


def test_checksums_unless_told_otherwise() -> None:
    raw = bytearray(build([(b"k", b"v")]))
    raw[-2] ^= 1
    with pytest.raises(kcore.BadCrc):
        decode_columns(raw)
    assert rows(raw, check_crc=False) == [(0, -1, b"k", b"w")]


@pytest.mark.parametrize("count", [-1, 3, 2**31 - 1])
def test_counts_that_lie_allocate_nothing(count: int) -> None:
    raw = bytearray(build([(b"k", b"v")] * 2))
    struct.pack_into(">i", raw, 57, count)
    struct.pack_into(">i", raw, 23, max(count - 1, 0))
    struct.pack_into(">I", raw, 17, crc32c(raw[21:]))
    with pytest.raises(kcore.InvalidRecord):
        decode_columns(raw)


def test_malformed_records_are_refused() -> None:
    for at in range(61, 61 + 9):
        raw = bytearray(build([(b"k", b"v")]))
        raw[at] ^= 0x82
        struct.pack_into(">I", raw, 17, crc32c(raw[21:]))
        try:
            expected = [(r.offset, r.timestamp, r.key, r.value) for r in RecordBatch(raw)]
        except kcore.KcoreError:
            with pytest.raises(kcore.KcoreError):
                decode_columns(raw)
        else:
            assert rows(raw) == expected


def test_a_limit_over_all_batches() -> None:
    buffer = build([(None, bytes(1000))], compression=1) * 5
    assert len(rows(buffer, decompressed_bytes_max=5100)) == 5
    with pytest.raises(kcore.DecompressedTooLarge):
        decode_columns(buffer, decompressed_bytes_max=5000)


RECORDS = [
    [(None, b"v" * 40, (), 5)],
    [(b"", b"v" * 30, (), 5), (None, b"w" * 200, (), 1 << 41)],
    [(b"k" * 90, b"", (), 5), (b"k" * 20, None, (), 6)],
    [(b"k" * 20, b"v" * 20, [("h", b"x")], 5), (None, b"v" * 300, (), 5)],
    [(b"k" * 70, b"v" * 20, (), 5), (None, b"v" * 40, (), 5 + (1 << 13)), (None, b"v" * 60, (), 0)],
    [(None, b"v" * 40, (), 5), (b"k" * 9, b"v" * 8200, (), 5 + (1 << 20))],
    [(None, b"v" * 40, (), 1 << 28), (b"k" * 8200, b"v" * 70, (), 5)],
]


@pytest.mark.parametrize("records", RECORDS, ids=range(len(RECORDS)))
def test_any_changed_byte_means_the_same_to_both_walks(records: list) -> None:
    """The walk for columns knows a shorter way for usual records; an iteration goes the long one,
    after the check, which tries the short one first."""
    sound = build(records)
    for at in {*range(61, len(sound))[:400], *range(61, len(sound))[-120:]}:
        for value in {0, 1, 2, 0x3F, 0x7F, 0x80, 0xFF, sound[at] ^ 1, sound[at] ^ 0x80}:
            raw = bytearray(sound)
            raw[at] = value
            try:
                expected = [(r.offset, r.timestamp, r.key, r.value) for r in RecordBatch(raw)]
            except kcore.KcoreError as error:
                with pytest.raises(type(error)):
                    decode_columns(raw, check_crc=False)
            else:
                assert rows(raw, check_crc=False) == expected


def test_numbers_of_every_width() -> None:
    """Lengths, timestamps and offsets of one byte to six, in short records and long."""
    edges = [1 << shift for shift in (6, 13, 20, 27, 34, 41)]
    times = [0, *(edge + by for edge in edges for by in (-1, 0))]
    lengths = [0, 1, *(edge + by for edge in edges[:3] for by in (-1, 0))]
    records = [(None, b"v" * 35, (), 1 << 42)]
    records += [
        (None, b"v" * 35, (), (1 << 42) + sign * time) for time in times for sign in (1, -1)
    ]
    records += [(b"k" * a, b"v" * b, (), 5) for a in lengths[:6] for b in lengths]
    buffer = build(records)
    assert rows(buffer) == [(n, time, k, v) for n, (k, v, _, time) in enumerate(records)]
    assert kcore.validate(buffer, now_ms=1 << 43).max_timestamp_ms == (1 << 42) + (1 << 41)
    many = build([(None, b"v" * 35, (), 7)] * 20_000)
    assert decode_columns(many)["offset"].tolist() == list(range(20_000))
