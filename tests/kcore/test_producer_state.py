"""The idempotence rules of kcore.producer_state, and Apache Kafka 4.3.1's own bytes."""

import random
import struct

import pytest

from kcore import errors
from kcore.producer_state import (
    ORIGIN_CLIENT,
    ORIGIN_COORDINATOR,
    ORIGIN_REPLICA,
    Completed,
    Duplicate,
    ProducerStateTable,
    Transaction,
    read_snapshot,
)

MAX = 2**31 - 1
TRANSACTIONAL, CONTROL = 0x10, 0x20


def batch(
    producer_id=1,
    epoch=0,
    sequence=0,
    count=1,
    offset=0,
    *,
    timestamp=1000,
    attributes=0,
    payload=b"",
):
    """One batch header over `payload`: the table reads no records but a marker's, and no CRC."""
    return (
        struct.pack(
            ">qiibIhiqqqhii",
            offset,
            49 + len(payload),
            0,
            2,
            0,
            attributes,
            count - 1 if count else 0,
            timestamp,
            timestamp,
            producer_id,
            epoch,
            sequence,
            count,
        )
        + payload
    )


def marker(producer_id=1, epoch=0, offset=0, *, commit=True, coordinator_epoch=0, **changed):
    """An end-transaction marker as a coordinator writes it."""
    record = b"\x00\x00\x00" + b"\x08" + struct.pack(">hh", 0, int(commit))
    record += b"\x0c" + struct.pack(">hi", 0, coordinator_epoch) + b"\x00"
    payload = bytes([len(record) * 2]) + record
    fields = {"attributes": TRANSACTIONAL | CONTROL, "payload": payload, **changed}
    return batch(producer_id, epoch, -1, 1, offset, **fields)


def store(table, made, origin=ORIGIN_CLIENT):
    """What a Log does: check, append, update."""
    duplicate = table.check_batch(made, origin)
    if duplicate is None:
        table.update_batch(made)
    return duplicate


class TestSequences:
    def test_the_next_sequence_is_stored(self):
        table = ProducerStateTable()
        store(table, batch(sequence=0, count=3, offset=10))
        store(table, batch(sequence=3, count=2, offset=13))
        entry = table.last_entry(1)
        assert (entry.last_sequence, entry.last_offset, entry.offset_delta) == (4, 14, 1)
        assert table.last_entry(2) is None

    @pytest.mark.parametrize("sequence", [1, 2, 4, MAX])
    def test_any_other_is_out_of_order(self, sequence):
        table = ProducerStateTable()
        store(table, batch(sequence=0, count=3))
        with pytest.raises(errors.OutOfOrderSequence, match=f"sequence {sequence} of producer 1"):
            table.check_batch(batch(sequence=sequence, count=1, offset=3))
        assert table.last_entry(1).last_sequence == 2

    def test_an_unknown_producer_may_begin_anywhere(self):
        table = ProducerStateTable()
        store(table, batch(sequence=77))
        assert table.last_entry(1).last_sequence == 77

    def test_sequences_wrap_after_the_largest(self):
        table = ProducerStateTable()
        store(table, batch(sequence=MAX - 1, count=2, offset=0))
        assert table.last_entry(1).last_sequence == MAX
        store(table, batch(sequence=0, count=1, offset=2))
        assert table.last_entry(1).last_sequence == 0

    def test_a_batch_that_spans_the_wrap_has_its_duplicate_too(self):
        table = ProducerStateTable()
        store(table, batch(sequence=MAX - 4, count=3, offset=0))
        spanning = batch(sequence=MAX - 1, count=4, offset=3)
        assert store(table, spanning) is None
        assert table.last_entry(1).last_sequence == 1
        assert store(table, spanning) == Duplicate(3, 6, 1000)
        store(table, batch(sequence=2, offset=7))

    def test_without_a_producer_id_nothing_is_kept(self):
        table = ProducerStateTable()
        assert store(table, batch(producer_id=-1, epoch=-1, sequence=-1)) is None
        assert len(table) == 0


class TestDuplicates:
    def test_each_of_the_last_five_is_answered_with_its_first_place(self):
        table = ProducerStateTable()
        sent = []
        for i in range(8):
            sent.append(batch(sequence=i * 2, count=2, offset=100 + i * 3, timestamp=5000 + i))
            assert store(table, sent[-1]) is None
        for i in range(3, 8):
            first = 100 + i * 3
            assert table.check_batch(sent[i]) == Duplicate(first, first + 1, 5000 + i)
        for i in range(3):
            with pytest.raises(errors.OutOfOrderSequence):
                table.check_batch(sent[i])

    @pytest.mark.parametrize(("sequence", "count"), [(0, 2), (1, 2), (2, 1), (0, 4)])
    def test_only_the_exact_range_is_a_duplicate(self, sequence, count):
        table = ProducerStateTable()
        store(table, batch(sequence=0, count=3))
        with pytest.raises(errors.OutOfOrderSequence):
            table.check_batch(batch(sequence=sequence, count=count))

    def test_a_leaders_batch_is_stored_as_it_came(self):
        table = ProducerStateTable()
        store(table, batch(sequence=0, count=3), ORIGIN_REPLICA)
        assert table.check_batch(batch(sequence=0, count=3), ORIGIN_REPLICA) is None
        assert table.check_batch(batch(epoch=0, sequence=9), ORIGIN_REPLICA) is None
        store(table, batch(epoch=5, sequence=9, offset=3), ORIGIN_REPLICA)
        store(table, batch(epoch=4, sequence=7, offset=4), ORIGIN_REPLICA)
        assert table.last_entry(1).producer_epoch == 4


class TestEpochs:
    def test_an_older_epoch_is_fenced(self):
        table = ProducerStateTable()
        store(table, batch(epoch=3, sequence=0))
        for origin in (ORIGIN_CLIENT, ORIGIN_COORDINATOR):
            with pytest.raises(errors.InvalidProducerEpoch, match="epoch 2 of producer 1"):
                table.check_batch(batch(epoch=2, sequence=0), origin)

    def test_a_newer_epoch_begins_at_zero(self):
        table = ProducerStateTable()
        store(table, batch(epoch=0, sequence=0, count=5))
        with pytest.raises(errors.OutOfOrderSequence, match="first batch of epoch 1"):
            table.check_batch(batch(epoch=1, sequence=5))
        store(table, batch(epoch=1, sequence=0, count=2, offset=5))
        entry = table.last_entry(1)
        assert (entry.producer_epoch, entry.last_sequence) == (1, 1)
        with pytest.raises(errors.InvalidProducerEpoch):
            table.check_batch(batch(epoch=0, sequence=0, count=5))

    def test_a_coordinator_has_no_sequences(self):
        table = ProducerStateTable()
        for offset in range(3):
            made = batch(sequence=-1, offset=offset, attributes=TRANSACTIONAL)
            assert store(table, made, ORIGIN_COORDINATOR) is None
        assert table.last_entry(1).last_sequence == -1


class TestTransactions:
    def test_life_of_one(self):
        table = ProducerStateTable()
        assert table.first_unstable_offset(0) is None
        store(table, batch(sequence=0, count=2, offset=10, attributes=TRANSACTIONAL))
        store(table, batch(sequence=2, count=2, offset=12, attributes=TRANSACTIONAL))
        assert table.first_unstable_offset(14) == 10
        assert table.transactions() == [Transaction(1, 10, -1)]
        assert table.last_entry(1).transaction_start_offset == 10
        assert table.oldest_transaction_timestamp_ms() == 1000
        table.update_batch(marker(offset=14, coordinator_epoch=7, timestamp=2000))
        assert table.take_completed() == [Completed(1, 10, 14, 15, False)]
        assert table.take_completed() == []
        entry = table.last_entry(1)
        assert (entry.transaction_start_offset, entry.coordinator_epoch) == (-1, 7)
        assert entry.last_timestamp_ms == 2000
        assert table.oldest_transaction_timestamp_ms() == -1
        # Decided, yet unstable until the marker itself is replicated.
        assert table.first_unstable_offset(14) == 10
        assert table.first_unstable_offset(15) is None
        table.on_high_watermark(14)
        assert table.transactions() == [Transaction(1, 10, 14)]
        table.on_high_watermark(15)
        assert table.transactions() == []

    def test_an_aborted_ones_stable_offset_is_the_next_open_ones_begin(self):
        table = ProducerStateTable()
        store(table, batch(producer_id=2, offset=5, attributes=TRANSACTIONAL))
        store(table, batch(producer_id=1, offset=6, attributes=TRANSACTIONAL))
        store(table, batch(producer_id=3, offset=7, attributes=TRANSACTIONAL))
        table.update_batch(marker(1, offset=8, commit=False))
        table.update_batch(marker(2, offset=9, commit=False))
        table.update_batch(marker(3, offset=10))
        assert table.take_completed() == [
            Completed(1, 6, 8, 5, True),
            Completed(2, 5, 9, 7, True),
            Completed(3, 7, 10, 11, False),
        ]
        assert table.first_unstable_offset(9) == 5
        assert table.first_unstable_offset(10) == 7

    def test_a_marker_without_data_completes_nothing(self):
        table = ProducerStateTable()
        table.update_batch(marker(9, epoch=4, offset=3, coordinator_epoch=2))
        assert table.take_completed() == []
        entry = table.last_entry(9)
        assert (entry.producer_epoch, entry.coordinator_epoch, entry.last_sequence) == (4, 2, -1)

    def test_a_bumped_marker_makes_the_next_begin_at_zero(self):
        table = ProducerStateTable()
        store(table, batch(sequence=0, count=2, attributes=TRANSACTIONAL))
        table.update_batch(marker(epoch=1, offset=2))
        with pytest.raises(errors.OutOfOrderSequence):
            table.check_batch(batch(epoch=1, sequence=2, attributes=TRANSACTIONAL))
        store(table, batch(epoch=1, sequence=0, offset=3, attributes=TRANSACTIONAL))
        assert table.first_unstable_offset(4) == 3

    def test_a_plain_batch_within_a_transaction_is_refused(self):
        table = ProducerStateTable()
        store(table, batch(sequence=0, attributes=TRANSACTIONAL))
        with pytest.raises(errors.InvalidTxnState, match="open since offset 0"):
            table.check_batch(batch(sequence=1))

    def test_an_emptied_marker_is_passed_over(self):
        table = ProducerStateTable()
        store(table, batch(sequence=0, attributes=TRANSACTIONAL))
        table.update_batch(batch(sequence=-1, count=0, attributes=TRANSACTIONAL | CONTROL))
        assert table.transactions() == [Transaction(1, 0, -1)]

    def test_log_start_drops_what_was_decided_below(self):
        table = ProducerStateTable()
        store(table, batch(offset=0, attributes=TRANSACTIONAL))
        table.update_batch(marker(offset=1))
        table.on_log_start_offset(1)
        assert len(table.transactions()) == 1
        table.on_log_start_offset(2)
        assert table.transactions() == []


class TestMarkers:
    def test_zombies_are_fenced(self):
        table = ProducerStateTable()
        store(table, batch(epoch=2, attributes=TRANSACTIONAL))
        table.update_batch(marker(epoch=2, offset=1, coordinator_epoch=5))
        with pytest.raises(errors.InvalidProducerEpoch):
            table.check_marker_batch(marker(epoch=1, coordinator_epoch=5))
        with pytest.raises(errors.CoordinatorFenced, match="coordinator epoch 4; 5 was seen"):
            table.check_marker_batch(marker(epoch=2, coordinator_epoch=4))
        table.check_marker_batch(marker(epoch=2, coordinator_epoch=5))
        table.check_marker_batch(marker(epoch=3, coordinator_epoch=6))

    def test_version_two_wants_the_bumped_epoch(self):
        table = ProducerStateTable()
        store(table, batch(epoch=2, attributes=TRANSACTIONAL))
        table.check_marker_batch(marker(epoch=2), transaction_version=1)
        with pytest.raises(errors.InvalidProducerEpoch, match="open transaction itself"):
            table.check_marker_batch(marker(epoch=2), transaction_version=2)
        with pytest.raises(errors.InvalidProducerEpoch):
            table.check_marker_batch(marker(epoch=1), transaction_version=2)
        table.check_marker_batch(marker(epoch=3), transaction_version=2)
        table.update_batch(marker(epoch=3, offset=1))
        # The same marker again, now that the transaction is over, is harmless.
        table.check_marker_batch(marker(epoch=3), transaction_version=2)

    def test_the_last_epoch_cannot_be_bumped(self):
        table = ProducerStateTable()
        store(table, batch(epoch=32767, attributes=TRANSACTIONAL))
        table.check_marker_batch(marker(epoch=32767), transaction_version=2)

    def test_what_is_no_marker_is_refused(self):
        table = ProducerStateTable()
        good = marker()
        for cut in range(62, len(good)):
            short = bytearray(good[:cut])
            struct.pack_into(">i", short, 8, cut - 12)
            with pytest.raises(errors.CorruptBatch):
                table.update_batch(bytes(short))
        with pytest.raises(errors.CorruptBatch, match="type 2"):
            table.update_batch(good.replace(b"\x08\x00\x00\x00\x01", b"\x08\x00\x00\x00\x02"))
        with pytest.raises(errors.CorruptBatch, match="never compressed"):
            table.update_batch(marker(attributes=TRANSACTIONAL | CONTROL | 4))
        with pytest.raises(errors.CorruptBatch, match="not an end-transaction marker"):
            table.check_marker_batch(batch())
        assert len(table) == 0

    def test_buffers_that_hold_no_batch(self):
        table = ProducerStateTable()
        for data in (b"", b"x" * 16, batch()[:60]):
            with pytest.raises(errors.KcoreError):
                table.update_batch(data)


class TestExpiry:
    def test_idle_producers_go_and_open_transactions_stay(self):
        table = ProducerStateTable(100)
        store(table, batch(producer_id=1, timestamp=1000))
        store(table, batch(producer_id=2, timestamp=1001))
        store(table, batch(producer_id=3, timestamp=1000, attributes=TRANSACTIONAL))
        assert table.expire(1099) == 0
        assert table.expire(1100) == 1
        assert [entry.producer_id for entry in table.active()] == [2, 3]
        assert table.last_entry(1) is None
        assert table.last_entry(2).producer_id == 2
        # Forgotten, so any sequence is welcome again.
        store(table, batch(producer_id=1, sequence=9, timestamp=1100))
        assert table.expire(9999) == 2
        assert [entry.producer_id for entry in table.active()] == [3]


class TestSnapshot:
    def test_empty(self):
        assert ProducerStateTable().take_snapshot() == EMPTY_SNAPSHOT

    def test_apaches_own_bytes_come_back(self):
        for golden in (IDEMPOTENT_SNAPSHOT, TRANSACTIONS_SNAPSHOT):
            table = ProducerStateTable()
            assert table.load(golden) == len(table) > 0
            assert table.take_snapshot() == golden

    def test_apaches_log_gives_apaches_snapshot(self):
        """Batch headers and markers of a partition that Apache 4.3.1 wrote: 4 transactional
        producers, commits and aborts, one transaction left open. Its snapshot and its transaction
        index are what the replay must give."""
        table = ProducerStateTable()
        aborted = []
        position = 0
        while position < len(TRANSACTIONS_LOG):
            length = 12 + struct.unpack_from(">i", TRANSACTIONS_LOG, position + 8)[0]
            stored = TRANSACTIONS_LOG[position : position + length]
            position += length
            table.update_batch(stored)
            aborted += [done for done in table.take_completed() if done.aborted]
        assert table.take_snapshot() == TRANSACTIONS_SNAPSHOT
        index = b"".join(
            struct.pack(
                ">hqqqq", 0, d.producer_id, d.first_offset, d.last_offset, d.last_stable_offset
            )
            for d in aborted
        )
        assert index == TRANSACTIONS_INDEX
        assert table.first_unstable_offset(35) == 33

    def test_entries(self):
        entries = read_snapshot(TRANSACTIONS_SNAPSHOT)
        # In the order of a Java HashMap of 16 buckets, not that of the ids.
        assert [entry.producer_id for entry in entries] == [16, 17, 14, 15]
        assert entries[1].transaction_start_offset == 33
        assert (entries[0].last_sequence, entries[0].last_offset) == (5, 25)

    def test_a_java_hash_map_grows_as_ours(self):
        table = ProducerStateTable()
        ids = [2**40 + 3, 70000, 15, 16, 31, 32, 1, 0, 17, 33, 47, 48]
        for producer_id in ids:
            store(table, batch(producer_id=producer_id))
        table.load(table.take_snapshot())

        def bucket(producer_id, buckets):
            h = (producer_id ^ producer_id >> 32) & 0xFFFFFFFF
            return (h ^ h >> 16) & (buckets - 1)

        def order(buckets):
            return sorted(ids, key=lambda producer_id: bucket(producer_id, buckets))

        def written():
            return [entry.producer_id for entry in read_snapshot(table.take_snapshot())]

        assert written() == order(16)
        ids.append(64)
        store(table, batch(producer_id=64))
        assert written() == order(32) != order(16)

    def test_round_trip_of_everything(self):
        table = ProducerStateTable()
        store(table, batch(producer_id=5, sequence=3, count=4, offset=20, attributes=TRANSACTIONAL))
        table.update_batch(marker(6, epoch=2, offset=24, coordinator_epoch=3))
        loaded = ProducerStateTable()
        loaded.load(table.take_snapshot())
        assert loaded.active() == table.active()
        assert loaded.transactions() == [Transaction(5, 20, -1)]
        assert store(loaded, batch(producer_id=5, sequence=3, count=4, offset=99)) == Duplicate(
            20, 23, 1000
        )

    def test_expired_ones_are_not_loaded(self):
        table = ProducerStateTable(100)
        store(table, batch(producer_id=1, timestamp=1000))
        store(table, batch(producer_id=2, timestamp=1000, attributes=TRANSACTIONAL))
        store(table, batch(producer_id=3, timestamp=1050))
        data = table.take_snapshot()
        table.clear()
        assert len(table) == 0
        assert table.transactions() == []
        assert table.load(data, now_ms=1100) == 2
        assert [entry.producer_id for entry in table.active()] == [2, 3]

    def test_every_damaged_byte_is_found(self):
        table = ProducerStateTable()
        for position in range(len(TRANSACTIONS_SNAPSHOT)):
            for bit in (0x01, 0x80):
                damaged = bytearray(TRANSACTIONS_SNAPSHOT)
                damaged[position] ^= bit
                with pytest.raises(errors.CorruptFile, match=r"file\.snapshot: byte"):
                    table.load(bytes(damaged), where="file.snapshot")
            with pytest.raises(errors.CorruptFile):
                table.load(TRANSACTIONS_SNAPSHOT[:position])
        assert len(table) == 0

    def test_the_error_says_where(self):
        with pytest.raises(errors.CorruptFile, match="the stored CRC is 0x051c1183") as caught:
            read_snapshot(TRANSACTIONS_SNAPSHOT[:-1] + b"\x00", "dir/35.snapshot")
        assert (caught.value.where, caught.value.position) == ("dir/35.snapshot", 2)


def test_many_producers_against_a_dict():
    """Ten thousand producer ids, chosen badly, with random retries: the plain model agrees."""
    chance = random.Random(7)
    table = ProducerStateTable()
    model: dict[int, list[tuple[int, int]]] = {}
    ids = [chance.choice((n, n << 32, n * 4096, 2**63 - 1 - n)) for n in range(3000)]
    for offset in range(20000):
        producer_id = chance.choice(ids)
        known = model.setdefault(producer_id, [])
        if known and chance.random() < 0.2:
            sequence, first = chance.choice(known)
            answer = table.check_batch(batch(producer_id, sequence=sequence, offset=offset))
            assert answer == Duplicate(first, first, 1000)
            continue
        sequence = known[-1][0] + 1 if known else 0
        assert store(table, batch(producer_id, sequence=sequence, offset=offset)) is None
        known.append((sequence, offset))
        del known[:-5]
    active = {entry.producer_id: entry for entry in table.active()}
    assert active.keys() == {key for key, known in model.items() if known}
    for producer_id, known in model.items():
        entry = active[producer_id]
        assert (entry.last_sequence, entry.last_offset) == known[-1]


EMPTY_SNAPSHOT = bytes.fromhex("000148674bc700000000")

IDEMPOTENT_SNAPSHOT = bytes.fromhex(
    "0001090411730000000e0000000000000000000000000002000000000000000200000002000001a20d33b0dc"
    "ffffffffffffffffffffffff0000000000000001000000000005000000000000000800000002000001a20d33"
    "b6d6ffffffffffffffffffffffff0000000000000002000000000008000000000000001100000002000001a2"
    "0d33b8f6ffffffffffffffffffffffff000000000000000300000000000b000000000000001d000000020000"
    "01a20d33baf9ffffffffffffffffffffffff000000000000000400000000000e000000000000002c00000002"
    "000001a20d33bd03ffffffffffffffffffffffff0000000000000005000000000011000000000000003e0000"
    "0002000001a20d33bf12ffffffffffffffffffffffff00000000000000060000000000140000000000000053"
    "00000002000001a20d33c11bffffffffffffffffffffffff0000000000000007000000000002000000000000"
    "005600000002000001a20d33c11dffffffffffffffffffffffff000000000000000800000000000500000000"
    "0000005c00000002000001a20d33c514ffffffffffffffffffffffff00000000000000090000000000080000"
    "00000000006500000002000001a20d33c714ffffffffffffffffffffffff000000000000000a00000000000b"
    "000000000000007100000002000001a20d33c917ffffffffffffffffffffffff000000000000000b00000000"
    "000e000000000000008000000002000001a20d33cb21ffffffffffffffffffffffff000000000000000c0000"
    "00000011000000000000009200000002000001a20d33cd2dffffffffffffffffffffffff000000000000000d"
    "00000000001400000000000000a700000002000001a20d33cf33ffffffffffffffffffffffff"
)

TRANSACTIONS_SNAPSHOT = bytes.fromhex(
    "0001051c1183000000040000000000000010000000000005000000000000001900000001000001a20d33d5ce"
    "00000000ffffffffffffffff0000000000000011000000000005000000000000002200000001000001a20d33"
    "d7ed000000000000000000000021000000000000000e000000000005000000000000000700000001000001a2"
    "0d33d4ad00000000ffffffffffffffff000000000000000f0000000000050000000000000010000000010000"
    "01a20d33d53600000000ffffffffffffffff"
)

TRANSACTIONS_INDEX = bytes.fromhex(
    "0000000000000000000e0000000000000003000000000000000500000000000000060000000000000000000f"
    "000000000000000c000000000000000e000000000000000f0000000000000000001000000000000000150000"
    "000000000017000000000000001800000000000000000011000000000000001e000000000000002000000000"
    "00000021"
)

# All of its batches: headers, and the records of markers (payloads of data batches are cut out).
TRANSACTIONS_LOG = bytes.fromhex(
    "00000000000000000000003100000000026a596d91001000000001000001a20d33d35b000001a20d33d35b00"
    "0000000000000e000000000000000000020000000000000002000000420000000002e9fb7993003000000000"
    "000001a20d33d443000001a20d33d443000000000000000e0000ffffffff000000012000000008000000010c"
    "0000000000000000000000000000030000003100000000025f123052001000000001000001a20d33d3f60000"
    "01a20d33d3f6000000000000000e0000000000020000000200000000000000050000004200000000022eb3ab"
    "6f003000000000000001a20d33d48a000001a20d33d48a000000000000000e0000ffffffff00000001200000"
    "0008000000000c000000000000000000000000000006000000310000000002384e8908001000000001000001"
    "a20d33d482000001a20d33d482000000000000000e0000000000040000000200000000000000080000004200"
    "0000000232b97f55003000000000000001a20d33d4ad000001a20d33d4ad000000000000000e0000ffffffff"
    "000000012000000008000000010c0000000000000000000000000000090000003100000000028545fbf30010"
    "00000001000001a20d33d4f8000001a20d33d4f8000000000000000f00000000000000000002000000000000"
    "000b0000004200000000026c0d64de003000000000000001a20d33d506000001a20d33d50600000000000000"
    "0f0000ffffffff000000012000000008000000010c00000000000000000000000000000c0000003100000000"
    "026cfd1e57001000000001000001a20d33d509000001a20d33d509000000000000000f000000000002000000"
    "02000000000000000e00000042000000000247114716003000000000000001a20d33d515000001a20d33d515"
    "000000000000000f0000ffffffff000000012000000008000000000c00000000000000000000000000000f00"
    "00003100000000028b18f267001000000001000001a20d33d511000001a20d33d511000000000000000f0000"
    "0000000400000002000000000000001100000042000000000210819bd1003000000000000001a20d33d53600"
    "0001a20d33d536000000000000000f0000ffffffff000000012000000008000000010c000000000000000000"
    "000000000012000000310000000002dfc96579001000000001000001a20d33d57e000001a20d33d57e000000"
    "000000001000000000000000000002000000000000001400000042000000000295a8efd90030000000000000"
    "01a20d33d590000001a20d33d59000000000000000100000ffffffff000000012000000008000000010c0000"
    "00000000000000000000000015000000310000000002365b8edd001000000001000001a20d33d58d000001a2"
    "0d33d58d00000000000000100000000000020000000200000000000000170000004200000000029229401a00"
    "3000000000000001a20d33d5ad000001a20d33d5ad00000000000000100000ffffffff000000012000000008"
    "000000000c00000000000000000000000000001800000031000000000218a7196e001000000001000001a20d"
    "33d5ad000001a20d33d5ad000000000000001000000000000400000002000000000000001a00000042000000"
    "00026ba8c8c9003000000000000001a20d33d5ce000001a20d33d5ce00000000000000100000ffffffff0000"
    "00012000000008000000010c00000000000000000000000000001b000000310000000002d62d43a200100000"
    "0001000001a20d33d7cb000001a20d33d7cb000000000000001100000000000000000002000000000000001d"
    "0000004200000000021891d328003000000000000001a20d33d7d2000001a20d33d7d2000000000000001100"
    "00ffffffff000000012000000008000000010c00000000000000000000000000001e00000031000000000271"
    "8a17b3001000000001000001a20d33d7d2000001a20d33d7d200000000000000110000000000020000000200"
    "000000000000200000004200000000024c8de368003000000000000001a20d33d7ee000001a20d33d7ee0000"
    "0000000000110000ffffffff000000012000000008000000000c000000000000000000000000000021000000"
    "31000000000254460825001000000001000001a20d33d7ed000001a20d33d7ed000000000000001100000000"
    "000400000002"
)
