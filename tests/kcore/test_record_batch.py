"""Record batch v2: the header view, what validation accepts and rewrites, every refusal by name."""

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kcore
from kcore import Codec, RecordBatch, build, validate
from kcore.crc32c import crc32c
from kcore.record_batch import assign, set_max_timestamp

NOW = 1_700_000_000_000
RECORDS = [(b"k%d" % i, b"value %d" % i, {"h": b"x", "null": None}, NOW + i) for i in range(5)]
HEADER = struct.Struct(">qiibIhiqqqhii")
FIELDS = [
    "base_offset",
    "batch_length",
    "leader_epoch",
    "magic",
    "crc",
    "attributes",
    "last_offset_delta",
    "base_timestamp",
    "max_timestamp",
    "producer_id",
    "producer_epoch",
    "base_sequence",
    "records_count",
]


def varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def record(
    delta: int = 0,
    *,
    timestamp: int = 0,
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    headers: bytes = b"\x00",
    length: int | None = None,
    key_length: int | None = None,
    value_length: int | None = None,
) -> bytes:
    """One record from its parts, any of which may lie."""

    def sized(data: bytes | None, length: int | None) -> bytes:
        claimed = (-1 if data is None else len(data)) if length is None else length
        return varint(claimed) + (data or b"")

    body = b"\x00" + varint(timestamp) + varint(delta) + sized(key, key_length)
    body += sized(value, value_length) + headers
    return varint(len(body) if length is None else length) + body


def batch(payload: bytes, count: int = 1, *, crc: int | None = None, **fields: int) -> bytes:
    """A batch around a payload, with a right checksum unless one is given."""
    values = dict.fromkeys(FIELDS, 0) | {
        "batch_length": 49 + len(payload),
        "magic": 2,
        "last_offset_delta": count - 1,
        "base_timestamp": NOW,
        "max_timestamp": NOW,
        "producer_id": -1,
        "producer_epoch": -1,
        "base_sequence": -1,
        "records_count": count,
    }
    values |= fields
    raw = bytearray(HEADER.pack(*(values[name] for name in FIELDS)) + payload)
    struct.pack_into(">I", raw, 17, crc32c(raw[21:]) if crc is None else crc)
    return bytes(raw)


def changed(data: bytes, at: int, layout: str, value: int) -> bytearray:
    """The batch with one header field overwritten and the checksum made right again."""
    raw = bytearray(data)
    struct.pack_into(layout, raw, at, value)
    struct.pack_into(">I", raw, 17, crc32c(raw[21:]))
    return raw


def refused(data: bytes, error: type[Exception], match: str, **rules: object) -> Exception:
    with pytest.raises(error, match=match) as caught:
        validate(data, **{"now_ms": NOW} | rules)
    assert isinstance(caught.value, kcore.KcoreError)
    return caught.value


class TestView:
    def test_every_field_of_the_header(self) -> None:
        values = dict(zip(FIELDS, range(1, 14), strict=True)) | {
            "magic": 2,
            "batch_length": 49,
            "attributes": 0x78 | 4,
        }
        raw = HEADER.pack(*(values[name] for name in FIELDS))
        seen = RecordBatch(b"junk" + raw + b"more", 4)
        for name in FIELDS[0:1] + FIELDS[2:]:
            assert getattr(seen, name) == values[name], name
        assert seen.size_bytes == 61
        assert seen.position == 4
        assert bytes(seen.view) == raw
        assert (seen.last_offset, seen.next_offset) == (8, 9)
        assert (seen.codec, seen.timestamp_type) == (4, 1)
        assert seen.is_transactional
        assert seen.is_control
        assert seen.delete_horizon_ms == values["base_timestamp"]

    @pytest.mark.parametrize("codec", list(Codec))
    def test_iteration(self, codec: Codec) -> None:
        seen = RecordBatch(build(RECORDS, base_offset=40, compression=codec))
        assert seen.records_count == 5
        assert list(seen) == [
            kcore.Record(40 + i, NOW + i, key, value, ((b"h", b"x"), (b"null", None)))
            for i, (key, value, _, _) in enumerate(RECORDS)
        ]

    def test_log_append_time_is_every_records_timestamp(self) -> None:
        seen = RecordBatch(build(RECORDS, timestamp_type=1, log_append_time_ms=77))
        assert {r.timestamp for r in seen} == {77}

    def test_a_lying_count_makes_no_list_make_room(self) -> None:
        assert not hasattr(RecordBatch, "__len__")
        tracemalloc.start()
        try:
            with pytest.raises(kcore.InvalidRecord):
                list(RecordBatch(batch(record(), 2**31 - 1)))
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_the_last_sequence_wraps(self) -> None:
        raw = batch(b"", 3, base_sequence=2**31 - 2)
        assert RecordBatch(raw).last_sequence == 0
        assert RecordBatch(batch(b"", 3)).last_sequence == -1

    def test_a_view_keeps_its_buffer_exported(self) -> None:
        buffer = bytearray(build(RECORDS))
        seen = RecordBatch(buffer)
        with pytest.raises(BufferError):
            buffer.append(0)
        del seen
        buffer.append(0)

    def test_a_buffer_that_changes_under_an_iterator(self) -> None:
        buffer = bytearray(build(RECORDS))
        records = iter(RecordBatch(buffer))
        next(records)
        buffer[61:] = b"\xff" * len(buffer[61:])
        with pytest.raises(kcore.InvalidRecord):
            next(records)

    def test_batches_in_turn(self) -> None:
        run = build(RECORDS) + build(RECORDS, base_offset=5, compression=4)
        assert [b.base_offset for b in kcore.batches(run)] == [0, 5]
        assert [b.base_offset for b in kcore.batches(run[:-1], allow_partial=True)] == [0]
        with pytest.raises(kcore.CorruptBatch, match="cut short") as caught:
            list(kcore.batches(run[:-1]))
        assert caught.value.position == len(build(RECORDS))

    def test_iteration_is_bounded(self) -> None:
        packed = build([(None, bytes(100_000))], compression=1)
        with pytest.raises(kcore.DecompressedTooLarge):
            list(RecordBatch(packed, decompressed_bytes_max=1000))

    def test_a_wrong_position_is_refused(self) -> None:
        for position in (-1, 10_000):
            with pytest.raises(kcore.CorruptBatch):
                RecordBatch(build(RECORDS), position)

    def test_the_checksum_on_request(self) -> None:
        raw = bytearray(build(RECORDS))
        RecordBatch(raw).check_crc()
        raw[-1] ^= 1
        with pytest.raises(kcore.BadCrc):
            RecordBatch(raw).check_crc()


class TestAccepted:
    @pytest.mark.parametrize("codec", list(Codec))
    def test_create_time(self, codec: Codec) -> None:
        found = validate(build(RECORDS, compression=codec), now_ms=NOW)
        assert found.max_timestamp_ms == NOW + 4
        assert found.max_timestamp_index == 4
        assert not found.rewrite_timestamps
        assert not found.recompress

    def test_a_wrong_max_timestamp_is_to_be_rewritten(self) -> None:
        raw = changed(build(RECORDS), 35, ">q", NOW + 99)
        found = validate(raw, now_ms=NOW)
        assert found.rewrite_timestamps
        set_max_timestamp(raw, 0, found.max_timestamp_ms)
        assert raw == build(RECORDS)

    def test_records_without_timestamp(self) -> None:
        found = validate(build([(b"k", b"v")]), now_ms=NOW, timestamp_before_max_ms=0)
        assert (found.max_timestamp_ms, found.max_timestamp_index) == (-1, -1)

    def test_log_append_time_of_the_topic(self) -> None:
        raw = bytearray(build(RECORDS))
        found = validate(raw, now_ms=123, timestamp_type=1)
        assert found.rewrite_timestamps
        assert (found.max_timestamp_ms, found.max_timestamp_index) == (123, 4)
        set_max_timestamp(raw, 1, 123)
        seen = RecordBatch(raw)
        seen.check_crc()
        assert (seen.timestamp_type, seen.max_timestamp, seen.base_timestamp) == (1, 123, NOW)

    def test_log_append_time_of_the_batch_on_a_create_time_topic_becomes_create_time(self) -> None:
        # Kafka lets it through when the timestamps are in the window, and clears the bit.
        raw = bytearray(build(RECORDS, timestamp_type=1, log_append_time_ms=NOW))
        found = validate(raw, now_ms=NOW)
        assert found.rewrite_timestamps
        assert found.max_timestamp_ms == NOW
        set_max_timestamp(raw, 0, NOW)
        assert RecordBatch(raw).timestamp_type == 0

    def test_stamping_the_same_again_leaves_even_a_wrong_checksum(self) -> None:
        raw = bytearray(build(RECORDS))
        raw[17] ^= 1
        before = bytes(raw)
        set_max_timestamp(raw, 0, NOW + 4)
        assert raw == before

    def test_assigning_keeps_the_checksum(self) -> None:
        raw = bytearray(build(RECORDS))
        assign(raw, 1 << 40, 7)
        seen = RecordBatch(raw)
        seen.check_crc()
        assert (seen.base_offset, seen.leader_epoch, seen.last_offset) == (
            1 << 40,
            7,
            (1 << 40) + 4,
        )
        assert raw[12 + 4 :] == build(RECORDS)[16:]

    def test_another_target_codec(self) -> None:
        raw = build(RECORDS, compression=3)
        assert validate(raw, now_ms=NOW, target_codec=4).recompress
        assert validate(raw, now_ms=NOW, target_codec=0).recompress
        assert not validate(raw, now_ms=NOW, target_codec=3).recompress
        assert not validate(raw, now_ms=NOW, target_codec=-1).recompress

    def test_the_timestamp_window_includes_its_ends(self) -> None:
        rules = {"timestamp_before_max_ms": 10, "timestamp_after_max_ms": 20}
        for timestamp in (NOW - 10, NOW + 20):
            validate(build([(b"k", b"v", (), timestamp)]), now_ms=NOW, **rules)

    def test_the_attributes_of_a_record_are_ignored(self) -> None:
        raw = bytearray(record())
        raw[1] = 0xFF
        validate(batch(bytes(raw)), now_ms=NOW)

    def test_brokers_may_write_what_clients_may_not(self) -> None:
        marker = kcore.build_end_marker(
            True, producer_id=1, producer_epoch=0, coordinator_epoch=5, timestamp=NOW, base_offset=9
        )
        validate(marker, now_ms=NOW, from_client=False)
        # A compacted batch: fewer records than its offsets, and gaps between them.
        validate(
            batch(record(1) + record(5), 2, last_offset_delta=9), now_ms=NOW, from_client=False
        )
        validate(batch(b"", 0, last_offset_delta=9), now_ms=NOW, from_client=False)

    def test_deltas_of_every_width(self) -> None:
        records = [(b"", None, (), NOW + (i << (3 * i))) for i in range(13)]
        found = validate(build(records), now_ms=NOW, timestamp_after_max_ms=1 << 62)
        assert found.max_timestamp_ms == NOW + (12 << 36)

    def test_timestamps_wrap_as_javas_do(self) -> None:
        raw = batch(record(timestamp=2), base_timestamp=2**63 - 1)
        assert next(iter(RecordBatch(raw))).timestamp == -(2**63) + 1


class TestCorrupt:
    def test_every_truncation(self) -> None:
        raw = build(RECORDS)
        for length in range(len(raw)):
            refused(raw[:length], kcore.NotOneBatch, "cut short")

    def test_every_flipped_bit_behind_the_checksum(self) -> None:
        raw = bytearray(build(RECORDS))
        for at in range(17, len(raw)):
            raw[at] ^= 0x10
            refused(raw, kcore.BadCrc, "checksum")
            raw[at] ^= 0x10

    @pytest.mark.parametrize("length", [-1, -(2**31), 0, 48])
    def test_a_length_below_a_header(self, length: int) -> None:
        refused(batch(record(), batch_length=length), kcore.CorruptBatch, "length")

    @pytest.mark.parametrize("length", [1 << 20, 2**31 - 1])
    def test_a_length_beyond_the_buffer(self, length: int) -> None:
        refused(batch(record(), batch_length=length), kcore.NotOneBatch, "cut short")

    @pytest.mark.parametrize("magic", [0, 1])
    def test_an_older_magic(self, magic: int) -> None:
        refused(batch(record(), magic=magic), kcore.UnsupportedMagic, "magic")

    @pytest.mark.parametrize("magic", [3, 127, -1])
    def test_a_magic_that_does_not_exist(self, magic: int) -> None:
        refused(batch(record(), magic=magic), kcore.CorruptBatch, "magic")

    @pytest.mark.parametrize("codec", [1, 2, 3, 4])
    def test_a_payload_that_is_not_its_codecs(self, codec: int) -> None:
        name = Codec(codec).name.lower()
        refused(batch(record(), attributes=codec), kcore.DecompressionFailed, name)
        refused(batch(b"", attributes=codec), kcore.DecompressionFailed, name)

    def test_a_codec_that_does_not_exist(self) -> None:
        for codec in (5, 6, 7):
            refused(batch(record(), attributes=codec), kcore.UnsupportedCompression, "codec")

    def test_zstd_where_the_request_may_not_use_it(self) -> None:
        raw = build(RECORDS, compression=4)
        refused(raw, kcore.UnsupportedCompression, "zstd", zstd_allowed=False)

    @pytest.mark.parametrize("codec", [1, 2, 3, 4])
    def test_a_bomb(self, codec: int) -> None:
        raw = build([(None, bytes(1_000_000), (), NOW)], compression=codec)
        refused(raw, kcore.DecompressedTooLarge, "more than", decompressed_bytes_max=999_999)
        validate(raw, now_ms=NOW, decompressed_bytes_max=1_000_100)


class TestRefusedBatches:
    def test_two_batches(self) -> None:
        refused(build(RECORDS) * 2, kcore.InvalidRecord, "more than one")

    def test_bytes_after_the_batch(self) -> None:
        refused(build(RECORDS) + b"x", kcore.InvalidRecord, "more than one")

    def test_a_base_offset_that_is_not_zero(self) -> None:
        refused(build(RECORDS, base_offset=1), kcore.InvalidRecord, "instead of 0")

    @pytest.mark.parametrize("count", [-1, 0, 2, 2**31 - 1, -(2**31)])
    def test_a_records_count_that_is_not_that_of_the_offsets(self, count: int) -> None:
        raw = batch(record(), 1, records_count=count)
        refused(raw, kcore.InvalidRecord, "do not fit")

    def test_a_huge_count_with_matching_offsets(self) -> None:
        refused(batch(record(), 2**31 - 1), kcore.InvalidRecord, "record 1: a varint")

    @pytest.mark.parametrize("delta", [-1, -(2**31), 1])
    def test_a_last_offset_delta_that_does_not_fit(self, delta: int) -> None:
        refused(batch(record(), last_offset_delta=delta), kcore.InvalidRecord, "do not fit")
        if delta < 0:
            raw = batch(record(), last_offset_delta=delta)
            refused(raw, kcore.InvalidRecord, "last offset delta", from_client=False)

    def test_a_control_batch_of_a_client(self) -> None:
        refused(batch(record(), attributes=0x20), kcore.InvalidRecord, "control")

    @pytest.mark.parametrize("bit", [6, 7, 8, 14])
    def test_bits_that_are_not_a_clients(self, bit: int) -> None:
        refused(batch(record(), attributes=1 << bit), kcore.InvalidRecord, "bits")

    def test_a_producer_id_without_sequence(self) -> None:
        state = {"producer_id": 5, "producer_epoch": 0, "base_sequence": 0}
        validate(batch(record(), **state), now_ms=NOW)
        raw = batch(record(), **state | {"base_sequence": -1})
        refused(raw, kcore.InvalidRecord, "producer id .* sequence")
        # Apache takes an epoch of -1 along, and so do we.
        validate(batch(record(), **state | {"producer_epoch": -1}), now_ms=NOW)

    def test_a_transaction_without_producer_id(self) -> None:
        # Kafka's broker takes it, and fails when it has to compress it anew.
        refused(batch(record(), attributes=0x10), kcore.InvalidRecord, "producer id")


class TestRefusedRecords:
    @pytest.mark.parametrize(
        ("payload", "count", "match"),
        [
            (record(0) + record(2), 2, "offset deltas"),
            (record(1) + record(0), 2, "offset deltas"),
            (record(0) + record(0), 2, "offset deltas"),
            (record(-1), 1, "offset deltas"),
            (record(0) + b"\x00", 1, "left over"),
            (record(0) + record(1), 1, "left over"),
            (record(0), 2, "varint"),
            (b"", 1, "varint"),
            (record(length=5) + bytes(9), 1, "length"),
            (record(length=-1), 1, "length"),
            (record(length=2**31 - 1), 1, "length"),
            (record(length=7), 1, "varint"),
            (record(length=10) + b"\x00" * 9, 1, "length"),
            (record(key_length=-2), 1, "length"),
            (record(key_length=2**31 - 1), 1, "length"),
            (record(key_length=-(2**31)), 1, "length"),
            (record(key=b"k", key_length=6), 1, "length"),
            (record(value_length=-2), 1, "length"),
            (record(value_length=3), 1, "length"),
            (record(headers=varint(-1)), 1, "headers"),
            (record(headers=varint(1)), 1, "headers"),
            (record(headers=varint(2**31 - 1) + bytes(9)), 1, "headers"),
            (record(headers=varint(1) + varint(-1) + b"\x00\x00"), 1, "length"),
            (record(headers=varint(1) + varint(5) + b"abc\x00"), 1, "length"),
            (record(headers=varint(1) + varint(1) + b"h" + varint(-2)), 1, "length"),
            (record(headers=varint(1) + varint(1) + b"h" + varint(9) + b"v"), 1, "length"),
            (record(headers=varint(1) + varint(1) + b"hh"), 1, "length"),
            (record(headers=varint(1) + varint(1) + b"h\x00" + b"x"), 1, "length"),
            (record(headers=varint(1) + b"\x80\x80"), 1, "varint"),
            (record(headers=varint(0) + b"x"), 1, "length"),
            (b"\xff\xff\xff\xff\x1f" + record()[1:], 1, "varint"),
            (b"\x80\x80\x80\x80\x80\x00" + record()[1:], 1, "varint"),
            (b"\x80", 1, "varint"),
            (
                varint(17) + b"\x00" + b"\xff" * 9 + b"\x02" + b"\x00\x00\x00\x00\x00\x00",
                1,
                "varint",
            ),
            (varint(12) + b"\x00" + b"\xff" * 11, 1, "varint"),
        ],
    )
    def test_malformed(self, payload: bytes, count: int, match: str) -> None:
        refused(batch(payload, count), kcore.InvalidRecord, match)
        for codec in (1, 2, 3, 4):
            packed = bytes(kcore.compress(codec, payload))
            refused(batch(packed, count, attributes=codec), kcore.InvalidRecord, match)
        with pytest.raises(kcore.InvalidRecord):
            list(RecordBatch(batch(payload, count)))

    def test_a_record_says_which_it_is(self) -> None:
        error = refused(
            batch(record(0) + record(1) + record(3), 3), kcore.InvalidRecord, "record 2"
        )
        assert [index for index, _ in error.record_errors] == [2]

    def test_a_keyless_record_on_a_compacted_topic(self) -> None:
        raw = build([(b"k", b"v"), (None, b"v"), (b"", b"v"), (None, None)])
        validate(raw, now_ms=NOW)
        error = refused(raw, kcore.InvalidRecord, "2 of 4", require_keys=True)
        assert [index for index, _ in error.record_errors] == [1, 3]

    def test_a_timestamp_that_is_too_old(self) -> None:
        raw = build([(b"k", b"v", (), NOW - 10), (b"k", b"v", (), NOW - 11), (b"k", b"v", (), -1)])
        error = refused(raw, kcore.InvalidTimestamp, "1 of 3", timestamp_before_max_ms=10)
        assert [index for index, _ in error.record_errors] == [1]

    def test_a_timestamp_in_the_future(self) -> None:
        raw = build([(b"k", b"v", (), NOW + 3_600_000), (b"k", b"v", (), NOW + 3_600_001)])
        error = refused(raw, kcore.InvalidTimestamp, "1 of 2")
        assert [index for index, _ in error.record_errors] == [1]

    def test_timestamps_at_the_ends_of_the_range(self) -> None:
        for timestamp in (2**63 - 1, -(2**63)):
            raw = batch(record(), base_timestamp=timestamp)
            refused(raw, kcore.InvalidTimestamp, "within")
            refused(raw, kcore.InvalidTimestamp, "within", timestamp_after_max_ms=NOW)

    def test_timestamps_are_not_looked_at_on_a_log_append_time_topic(self) -> None:
        validate(build([(b"k", b"v", (), NOW << 3)]), now_ms=NOW, timestamp_type=1)

    def test_log_append_time_of_a_client(self) -> None:
        raw = build(RECORDS, timestamp_type=1, log_append_time_ms=NOW)
        refused(raw, kcore.InvalidTimestamp, "only brokers", timestamp_type=1)
        raw = build(RECORDS, timestamp_type=1, log_append_time_ms=-1)
        refused(raw, kcore.InvalidTimestamp, "only brokers")

    def test_no_more_than_a_thousand_errors_are_listed(self) -> None:
        raw = build([(None, b"")] * 1500)
        error = refused(raw, kcore.InvalidRecord, "1500 of 1500", require_keys=True)
        assert len(error.record_errors) == 1000


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=80), st.integers(1, 4))
def test_any_payload_is_accepted_as_iterated_or_refused(payload: bytes, count: int) -> None:
    raw = batch(payload, count)
    try:
        validate(raw, now_ms=NOW, timestamp_after_max_ms=2**63 - 1)
    except kcore.KcoreError:
        with pytest.raises(kcore.KcoreError):
            list(RecordBatch(raw))
    else:
        assert len(list(RecordBatch(raw))) == count


def test_arguments_that_are_no_batch() -> None:
    for call in (
        lambda: validate(b"", now_ms=0),
        lambda: assign(bytearray(), 0, 0),
        lambda: assign(bytearray(60), 0, 0),
        lambda: set_max_timestamp(bytearray(b"\x02" * 16), 0, 0),
    ):
        with pytest.raises(kcore.KcoreError):
            call()
    with pytest.raises((BufferError, ValueError)):
        assign(build(RECORDS), 0, 0)
