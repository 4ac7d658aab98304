"""The idempotence rules of kcore.producer_state."""

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
