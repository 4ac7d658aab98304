"""Building batches: the same bytes as kafka-python's and aiokafka's builders, limits, control
batches, recompression."""

import importlib
import random
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kcore
from kcore import BatchBuilder, Codec, RecordBatch, build, recompress, validate
from kcore.batch_builder import CONTROL_LEADER_CHANGE

NOW = 1_700_000_000_000
with warnings.catch_warnings():
    # kafka-python reads its schemas by a function that Python has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    aiokafka_records = importlib.import_module("aiokafka.record.default_records")
    kafka_records = importlib.import_module("kafka.record.default_records")
LIBRARIES: dict[str, Any] = {"kafka-python": kafka_records, "aiokafka": aiokafka_records}

texts = st.text(max_size=8)
blobs = st.none() | st.binary(max_size=40)
records = st.lists(
    st.tuples(
        blobs,
        blobs,
        st.lists(st.tuples(texts, blobs), max_size=3),
        st.integers(0, 2**42),
    ),
    min_size=1,
    max_size=12,
)
PLAIN = [
    (b"key %d" % i, b"some value " * 20, [("h", b"x"), ("n", None)], NOW + i) for i in range(200)
]


def built_by(library: str, items: list, codec: int, **producer: int) -> bytes:
    """The batch that another library makes, its epoch (which the broker sets) as ours."""
    options = {"is_transactional": 0, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1}
    module = LIBRARIES[library]
    builder = module.DefaultRecordBatchBuilder(2, codec, batch_size=1 << 30, **options | producer)
    for offset, (key, value, headers, timestamp) in enumerate(items):
        assert builder.append(offset, timestamp, key, value, headers) is not None
    return bytes(builder.build())


@pytest.mark.parametrize("library", LIBRARIES)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(items=records)
def test_the_same_bytes_as_other_builders(library: str, items: list) -> None:
    theirs = built_by(library, items, 0)
    assert build(items, leader_epoch=RecordBatch(theirs).leader_epoch) == theirs


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_bytes_with_a_producers_state(library: str) -> None:
    theirs = built_by(
        library, PLAIN, 0, is_transactional=1, producer_id=9, producer_epoch=3, base_sequence=70
    )
    ours = build(
        PLAIN,
        leader_epoch=RecordBatch(theirs).leader_epoch,
        transactional=True,
        producer_id=9,
        producer_epoch=3,
        base_sequence=70,
    )
    assert ours == theirs


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("codec", list(Codec))
def test_other_libraries_read_ours(library: str, codec: Codec) -> None:
    ours = bytearray(build(PLAIN, compression=codec))
    theirs = LIBRARIES[library].DefaultRecordBatch(ours)
    assert theirs.validate_crc()
    seen = [(r.key, r.value, list(r.headers), r.timestamp) for r in theirs]
    assert [(k and bytes(k), bytes(v), h, t) for k, v, h, t in seen] == PLAIN


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("codec", list(Codec))
def test_ours_reads_other_libraries(library: str, codec: Codec) -> None:
    theirs = built_by(library, PLAIN, codec)
    assert RecordBatch(theirs).codec == codec
    validate(theirs, now_ms=NOW)
    assert list(RecordBatch(theirs)) == list(RecordBatch(build(PLAIN)))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(items=records, codec=st.sampled_from(list(Codec)), base=st.integers(0, 2**50))
def test_round_trip(items: list, codec: Codec, base: int) -> None:
    raw = build(items, compression=codec, base_offset=base)
    seen = list(RecordBatch(raw))
    assert [r.offset for r in seen] == [base + i for i in range(len(items))]
    assert [(r.key, r.value, r.timestamp) for r in seen] == [(k, v, t) for k, v, _, t in items]
    assert [r.headers for r in seen] == [
        tuple((name.encode(), value) for name, value in headers) for _, _, headers, _ in items
    ]
    assert build(seen, compression=codec, base_offset=base) == raw


class TestBuilder:
    def test_sizes_are_exact_without_compression(self) -> None:
        builder = BatchBuilder()
        assert builder.size_bytes == 61
        for record in PLAIN:
            expected = builder.size_bytes_with(*record)
            builder.append(*record)
            assert builder.size_bytes == expected
        assert len(builder) == builder.records_count == len(PLAIN)
        assert len(builder.close()) == expected

    def test_a_full_batch_stays_usable(self) -> None:
        builder = BatchBuilder(bytes_max=100)
        builder.append(b"k", b"v" * 20)
        with pytest.raises(kcore.BatchTooLarge):
            builder.append(b"k", b"v" * 20)
        with pytest.raises(kcore.BatchTooLarge):
            builder.append(b"k" * 1000, None)
        assert builder.append(b"k", b"v") == 1
        validate(builder.close(), now_ms=0)

    def test_offsets_with_gaps(self) -> None:
        builder = BatchBuilder(base_offset=100)
        assert builder.append(b"a", b"", offset=103) == 103
        assert builder.append(b"b", b"") == 104
        for offset in (104, 99, 100 + 2**31):
            with pytest.raises(ValueError):
                builder.append(b"c", b"", offset=offset)
        seen = RecordBatch(builder.close())
        assert [r.offset for r in seen] == [103, 104]
        assert seen.last_offset == 104

    def test_nothing_makes_nothing(self) -> None:
        assert build([]) == b""

    def test_a_closed_builder_takes_nothing_more(self) -> None:
        builder = BatchBuilder()
        builder.append(b"k", b"v")
        builder.close()
        with pytest.raises(ValueError, match="closed"):
            builder.append(b"k", b"v")
        with pytest.raises(ValueError, match="closed"):
            builder.close()

    @pytest.mark.parametrize(
        "options",
        [
            {"transactional": True},
            {"producer_id": 1},
            {"producer_id": 1, "producer_epoch": 0},
        ],
        ids=str,
    )
    def test_what_no_producer_writes(self, options: dict) -> None:
        with pytest.raises(ValueError):
            BatchBuilder(**options)

    def test_codecs_by_name(self) -> None:
        for name, codec in [("uncompressed", 0), ("none", 0), ("zstd", 4), ("lz4", 3)]:
            assert RecordBatch(build(PLAIN, compression=name)).codec == codec
        for wrong in ("brotli", "producer", 9, -1):
            with pytest.raises(kcore.UnsupportedCompression):
                BatchBuilder(compression=wrong)

    def test_wrong_types_are_refused(self) -> None:
        builder = BatchBuilder()
        for record in [("text", b""), (b"", 5), (b"", b"", [("h", "text")])]:
            with pytest.raises(TypeError):
                builder.append(*record)
        assert len(builder) == 0

    def test_any_buffer_will_do(self) -> None:
        raw = build([(bytearray(b"k"), memoryview(b"value")[1:3], {b"h": bytearray(b"x")}, 5)])
        assert list(RecordBatch(raw)) == [kcore.Record(0, 5, b"k", b"al", ((b"h", b"x"),))]

    def test_the_delete_horizon_is_the_base_timestamp(self) -> None:
        seen = RecordBatch(build(PLAIN, delete_horizon_ms=NOW - 50))
        assert seen.delete_horizon_ms == seen.base_timestamp == NOW - 50
        assert next(iter(seen)).timestamp == NOW


class TestControl:
    @pytest.mark.parametrize("committed", [True, False])
    def test_end_of_transaction(self, committed: bool) -> None:
        raw = kcore.build_end_marker(
            committed,
            producer_id=4000,
            producer_epoch=2,
            coordinator_epoch=11,
            timestamp=NOW,
            base_offset=8,
            leader_epoch=3,
        )
        seen = RecordBatch(raw)
        assert seen.is_control
        assert seen.is_transactional
        assert (seen.producer_id, seen.producer_epoch, seen.base_sequence) == (4000, 2, -1)
        (record,) = seen
        assert record.key == (b"\x00\x00\x00\x01" if committed else b"\x00\x00\x00\x00")
        assert record.value == b"\x00\x00\x00\x00\x00\x0b"
        assert kcore.parse_end_marker(record) == (committed, 11)
        theirs = kafka_records.DefaultRecordBatch(bytearray(raw))
        assert [(r.commit, r.abort) for r in theirs] == [(committed, not committed)]

    def test_other_types(self) -> None:
        raw = kcore.build_control(CONTROL_LEADER_CHANGE, 0, b"body", timestamp=5, leader_epoch=1)
        (record,) = RecordBatch(raw)
        assert kcore.parse_control_key(record.key) == (0, CONTROL_LEADER_CHANGE)
        assert record.value == b"body"
        assert not RecordBatch(raw).is_transactional

    @pytest.mark.parametrize("key", [b"", b"\x00\x00\x00", b"\xff\xff\x00\x01"])
    def test_keys_that_are_none(self, key: bytes) -> None:
        with pytest.raises(kcore.InvalidRecord):
            kcore.parse_control_key(key)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            (None, bytes(6)),
            (bytes(4), None),
            (bytes(4), bytes(5)),
            (bytes(4), b"\xff" * 6),
            (b"\x00\x00\x00\x02", bytes(6)),
        ],
    )
    def test_markers_that_are_none(self, key: bytes | None, value: bytes | None) -> None:
        with pytest.raises(kcore.InvalidRecord):
            kcore.parse_end_marker(kcore.Record(0, 0, key, value, ()))


class TestRecompress:
    @pytest.mark.parametrize("source", list(Codec))
    @pytest.mark.parametrize("target", list(Codec))
    def test_the_records_stay(self, source: Codec, target: Codec) -> None:
        raw = build(PLAIN, compression=source, producer_id=5, producer_epoch=1, base_sequence=7)
        again = recompress(raw, target)
        assert again == build(
            PLAIN, compression=target, producer_id=5, producer_epoch=1, base_sequence=7
        )
        validate(again, now_ms=NOW)

    def test_log_append_time(self) -> None:
        again = RecordBatch(
            recompress(build(PLAIN), "zstd", timestamp_type=1, log_append_time_ms=9)
        )
        assert (again.timestamp_type, again.max_timestamp, again.base_timestamp) == (1, 9, NOW)
        assert {r.timestamp for r in again} == {9}

    def test_levels(self) -> None:
        raw = build(PLAIN)
        assert len(recompress(raw, "gzip", 1)) > len(recompress(raw, "gzip", 9))
        with pytest.raises(ValueError, match="no level 10"):
            recompress(raw, "gzip", 10)

    def test_a_bomb(self) -> None:
        raw = build([(None, bytes(1_000_000))], compression="gzip")
        with pytest.raises(kcore.DecompressedTooLarge):
            recompress(raw, "lz4", decompressed_bytes_max=1000)

    def test_malformed_records(self) -> None:
        raw = bytearray(build(PLAIN))
        raw[-1] ^= 0xFF
        with pytest.raises(kcore.InvalidRecord):
            recompress(raw, "lz4")


def test_large_batches_grow_in_place() -> None:
    value = random.Random(6).randbytes(300_000)
    seen = list(RecordBatch(build([(None, value)] * 10)))
    assert [r.value for r in seen] == [value] * 10
