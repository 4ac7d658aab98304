"""The snapshot file of producers: Apache Kafka 4.3.1's own bytes, both ways."""

import struct

import pytest

from kcore import errors
from kcore.producer_snapshot import read_snapshot
from kcore.producer_state import Duplicate, ProducerStateTable, Transaction
from tests.kcore.test_producer_state import TRANSACTIONAL, batch, marker, store


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
