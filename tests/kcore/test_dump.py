"""kcore.dump and its command line, on a directory that Apache Kafka 4.3.1 wrote.

tests/kcore/apache: started twice, stopped cleanly; idempotent and transactional producers, one
transaction left open.
"""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kcore.__main__ import main
from kcore.batch_builder import build
from kcore.dump import inspect
from kcore.log import Log
from kcore.log_config import LogConfig
from kcore.producer_state import ProducerStateTable

APACHE = Path(__file__).parent / "apache"
SEGMENT = "00000000000000000000"


@pytest.fixture
def data(tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(APACHE, tmp_path / "data"))


def damage(path, **options):
    """(file name, position, reason) of everything wrong."""
    return [
        (Path(found.file).name, found.position, found.reason)
        for found in inspect(path, **options).damage
    ]


def patch(path, position, new):
    """Overwrites bytes in a file."""
    content = bytearray(path.read_bytes())
    content[position : position + len(new)] = new
    path.write_bytes(content)


def batch_positions(log):
    """Where each batch begins."""
    content, positions, at = log.read_bytes(), [], 0
    while at < len(content):
        positions.append(at)
        at += 12 + struct.unpack_from(">i", content, at + 8)[0]
    return positions


class TestSound:
    def test_apaches_directory(self):
        report = inspect(APACHE, deep=True)
        assert report.damage == []
        assert {
            partition.name: partition.log_end_offset for partition in report.every_partition()
        } == {
            "__cluster_metadata-0": 390,
            "idem-0": 168,
            "txn-0": 35,
        }
        assert [file.notes for file in report.every_file() if file.notes] == []
        counts = {
            (Path(file.name).parent.name, file.kind): file.entries for file in report.every_file()
        }
        assert counts["idem-0", "log"] == 56
        assert counts["idem-0", "producer snapshot"] == 14
        assert counts["txn-0", "transaction index"] == 4
        assert counts["__cluster_metadata-0", "offset index"] == 6
        assert counts["__cluster_metadata-0", "time index"] == 8
        assert counts["apache", "raft snapshot"] == 3

    def test_batches_and_records(self):
        report = inspect(APACHE / "txn-0", records=True)
        (log,) = [file for file in report.every_file() if file.kind == "log"]
        first, second = log.content[:2]
        assert (first.position, first.size_bytes, first.base_offset, first.last_offset) == (
            0,
            87,
            0,
            1,
        )
        assert (first.producer_id, first.producer_epoch, first.base_sequence) == (14, 0, 0)
        assert first.transactional
        assert first.control is None
        assert [record["value"] for record in first.content] == [b"t0-0-0", b"t0-0-1"]
        assert second.control == "commit"
        assert [batch.control for batch in log.content[3:6]] == ["abort", None, "commit"]

    def test_compressed_records(self):
        report = inspect(APACHE / "idem-0", records=True)
        (log,) = [file for file in report.every_file() if file.kind == "log"]
        assert {batch.codec for batch in log.content} == {"none", "snappy"}
        values = [record["value"] for batch in log.content for record in batch.content]
        assert len(values) == 168
        assert values[:3] == [b"n0-0-0", b"n0-0-1", b"n0-0-2"]

    def test_single_files(self):
        for path in sorted((APACHE / "txn-0").iterdir()):
            assert damage(path, entries=True) == [], path.name

    def test_the_log_explains_the_snapshot(self):
        """Two readers of the same facts agree: the replayed log, and the snapshot that we list."""
        log = (APACHE / "idem-0" / f"{SEGMENT}.log").read_bytes()
        table = ProducerStateTable()
        for position in batch_positions(APACHE / "idem-0" / f"{SEGMENT}.log"):
            table.update_batch(log[position:])
        assert (
            table.take_snapshot()
            == (APACHE / "idem-0" / "00000000000000000168.snapshot").read_bytes()
        )
        report = inspect(APACHE / "idem-0")
        (snapshot,) = [file for file in report.every_file() if file.kind == "producer snapshot"]
        assert snapshot.content == [entry._asdict() for entry in table.active()]

    def test_preallocated_zeros_are_a_note(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        log.write_bytes(log.read_bytes() + bytes(5000))
        for suffix, entry_bytes in ((".index", 8), (".timeindex", 12)):
            index = data / "txn-0" / f"{SEGMENT}{suffix}"
            index.write_bytes(index.read_bytes() + bytes(entry_bytes * 100))
        report = inspect(data)
        assert report.damage == []
        notes = {Path(file.name).name: file.notes for file in report.every_file() if file.notes}
        assert notes == {
            f"{SEGMENT}.log": ["5000 preallocated zero bytes after byte 1902"],
            f"{SEGMENT}.index": ["100 unused entries after byte 0"],
            f"{SEGMENT}.timeindex": ["100 unused entries after byte 12"],
        }

    def test_our_own_log_open_and_closed(self, tmp_path):
        config = LogConfig(segment_bytes=4000, index_interval_bytes=100)
        log = Log.open(str(tmp_path / "t-0"), config, now_ms=5000, clean=True)
        for i in range(100):
            records = [(b"k", b"v%d" % i, (), 5000 + i)] * 5
            log.append(build(records, compression=i % 5), leader_epoch=i // 50, now_ms=5000 + i)
        assert damage(tmp_path, deep=True) == []
        log.close()
        report = inspect(tmp_path, deep=True)
        assert report.damage == []
        assert [file.notes for file in report.every_file() if file.notes] == []
        (partition,) = report.every_partition()
        assert partition.log_end_offset == 500
        assert sum(file.kind == "log" for file in partition.files) > 2

    def test_empty_files_and_directories(self, tmp_path):
        assert damage(tmp_path) == []
        (tmp_path / f"{SEGMENT}.log").touch()
        (tmp_path / f"{SEGMENT}.index").touch()
        assert damage(tmp_path) == []


class TestDamagedLog:
    def test_every_byte_under_a_crc(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        positions = batch_positions(log)
        whole = log.read_bytes()
        for at in range(len(whole)):
            start = max(position for position in positions if position <= at)
            if at - start < 16:
                continue  # base offset, length and epoch have tests of their own
            patch(log, at, bytes([whole[at] ^ 0x10]))
            if at - start == 16:
                assert damage(log)[0][:2] == (log.name, start)  # the magic
            else:
                found = damage(data / "txn-0")
                assert [(name, position) for name, position, _ in found] == [(log.name, start)], at
            log.write_bytes(whole)

    def test_the_reason_names_both_sums(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 87 + 70, b"\xff")
        ((name, position, reason),) = damage(log)
        assert (name, position) == (log.name, 87)
        assert "offset 2" in reason
        assert "has CRC 0xe9fb7993, and that of its bytes is 0x" in reason

    @pytest.mark.parametrize("length", [-1, 0, 48, 75, 10**6])
    def test_lengths(self, data, length):
        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 87 + 8, struct.pack(">i", length))
        found = damage(log)
        assert found[0][:2] == (log.name, 87)
        if length < 49 or length > 2000:
            assert f"length field {length}" in found[0][2]

    def test_a_torn_tail(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        log.write_bytes(log.read_bytes()[:1850])
        found = damage(data / "txn-0")
        assert found[0][:2] == (log.name, 1815)
        assert "the 35 bytes from here on" in found[0][2]

    def test_bytes_after_the_zeros(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        log.write_bytes(log.read_bytes() + bytes(100) + b"x" + bytes(9))
        ((_, position, reason),) = damage(log)
        assert position == 2002
        assert "the batches end at byte 1902" in reason

    def test_offsets_that_go_back(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 87, struct.pack(">q", 1))
        assert (
            log.name,
            87,
            "the batch begins at offset 1, and 2 is the least that may follow here",
        ) in (damage(log))

    def test_below_the_segments_own_offset(self, data):
        log = (data / "txn-0" / f"{SEGMENT}.log").rename(
            data / "txn-0" / "00000000000000000007.log"
        )
        assert damage(log)[0] == (
            log.name,
            0,
            "the batch begins at offset 0, and 7 is the least that may follow here",
        )

    def test_epochs(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 87 + 12, struct.pack(">i", 5))
        reasons = [reason for _, _, reason in damage(data / "txn-0")]
        assert "leader epoch 0 after 5: epochs never go back" in reasons
        assert (
            "the batch of offset 2 has leader epoch 5, and leader-epoch-checkpoint has 0 there"
            in (reasons)
        )

    def test_records_are_only_decoded_when_asked(self, data):
        """A batch with a good CRC over a record whose length is wrong."""
        from kcore.crc32c import crc32c

        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 61, b"\x7e")
        patch(log, 17, struct.pack(">I", crc32c(log.read_bytes()[21:87])))
        assert damage(log) == []
        ((_, position, reason),) = damage(log, deep=True)
        assert position == 0
        assert "after 0 good records" in reason

    def test_an_old_message_format(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 16, b"\x01")
        assert damage(log)[0][1] == 0


class TestDamagedIndexes:
    def metadata(self, data, suffix):
        return data / "__cluster_metadata-0" / f"{SEGMENT}{suffix}"

    def test_left_over_bytes(self, data):
        index = self.metadata(data, ".index")
        index.write_bytes(index.read_bytes()[:-3])
        assert damage(index) == [(index.name, 40, "5 bytes left over: an entry has 8")]

    def test_offset_index_order(self, data):
        index = self.metadata(data, ".index")
        content = index.read_bytes()
        index.write_bytes(content[:8] + content[16:24] + content[8:16] + content[24:])
        found = damage(index)
        assert [(name, position) for name, position, _ in found] == [(index.name, 16)]
        assert "does not lie after offset" in found[0][2]

    def test_offset_index_against_the_log(self, data):
        index = self.metadata(data, ".index")
        offset, position = struct.unpack_from(">ii", index.read_bytes(), 8)
        patch(index, 8, struct.pack(">ii", offset, position + 1))
        assert damage(index) == [
            (index.name, 8, f"entry 1: no batch begins at byte {position + 1} of the log")
        ]
        patch(index, 8, struct.pack(">ii", offset - 2, position))
        ((_, _, reason),) = damage(index)
        assert f"offset {offset - 2}, and the batch at byte {position} begins at" in reason
        patch(index, 8, struct.pack(">ii", offset + 1, position))
        report = inspect(index)
        assert report.damage == []
        assert report.files[0].notes == ["1 entries do not have the last offset of their batch"]

    def test_time_index(self, data):
        index = self.metadata(data, ".timeindex")
        timestamp, offset = struct.unpack_from(">qi", index.read_bytes(), 12)
        patch(index, 12, struct.pack(">qi", timestamp + 1, offset))
        ((_, position, reason),) = damage(index)
        assert position == 12
        assert f"the log's largest up to that batch is {timestamp}" in reason
        patch(index, 12, struct.pack(">qi", 5, offset))
        assert "does not lie after" in damage(index)[0][2]
        patch(index, 12, struct.pack(">qi", timestamp, 10**6))
        reasons = [reason for _, _, reason in damage(index)]
        assert "entry 1: offset 1000000 is not in the log" in reasons

    @pytest.mark.parametrize(
        ("at", "new", "reason"),
        [
            (34, b"\x00\x07", "version 7, not 0"),
            (34 + 2, struct.pack(">q", -5), "of producer -5"),
            (34 + 2, struct.pack(">q", 99), "no marker of producer 99 stands at offset 14"),
            (34 + 10, struct.pack(">q", 15), "offsets 15 to 14"),
            (34 + 18, struct.pack(">qq", 13, 15), "no marker of producer 15 stands at offset 13"),
            (34 + 10, struct.pack(">qq", 2, 5), "last offset 5 after 5"),
        ],
    )
    def test_transaction_index(self, data, at, new, reason):
        index = data / "txn-0" / f"{SEGMENT}.txnindex"
        patch(index, at, new)
        found = damage(index)
        assert [position for _, position, _ in found] == [34]
        assert reason in found[0][2]


class TestDamagedOthers:
    def test_snapshot(self, data):
        snapshot = data / "txn-0" / "00000000000000000035.snapshot"
        patch(snapshot, 100, b"\x01")
        ((name, position, reason),) = damage(data)
        assert (name, position) == (snapshot.name, 2)
        assert "stored CRC is 0x051c1183" in reason

    def test_snapshot_of_another_offset(self, data):
        (data / "txn-0" / "00000000000000000035.snapshot").rename(
            data / "txn-0" / "00000000000000000030.snapshot"
        )
        ((name, _, reason),) = damage(data / "txn-0")
        assert name == "00000000000000000030.snapshot"
        assert "producer 17 wrote at 34" in reason

    def test_snapshot_above_the_log(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        log.write_bytes(log.read_bytes()[:1815])
        reasons = {name: reason for name, _, reason in damage(data)}
        assert reasons["00000000000000000035.snapshot"] == "of offset 35, and the log ends at 33"
        assert reasons["recovery-point-offset-checkpoint"] == "txn-0: 35 is above the log's end, 33"
        assert reasons["replication-offset-checkpoint"] == "txn-0: 35 is above the log's end, 33"
        (data / ".kafka_cleanshutdown").unlink()
        assert "replication-offset-checkpoint" not in {name for name, _, _ in damage(data)}

    @pytest.mark.parametrize(
        "name",
        [
            "meta.properties",
            "recovery-point-offset-checkpoint",
            ".kafka_cleanshutdown",
            "txn-0/leader-epoch-checkpoint",
            "txn-0/partition.metadata",
        ],
    )
    def test_text_files(self, data, name):
        (data / name).write_bytes(b"7\nnonsense")
        assert [found[0] for found in damage(data)] == [Path(name).name]

    def test_overlapping_segments(self, data):
        log = data / "txn-0" / f"{SEGMENT}.log"
        shutil.copy(log, data / "txn-0" / "00000000000000000020.log")
        assert ("00000000000000000020.log", None) in [found[:2] for found in damage(data / "txn-0")]


class TestCommandLine:
    def test_sound(self, capsys):
        assert main(["dump", str(APACHE), "--deep"]) == 0
        text = capsys.readouterr().out
        assert (
            "node 1 of cluster 1QEPXtWVTUCBcPlEVbsMZA, stopped cleanly (broker epoch 363)" in text
        )
        assert "partition txn-0 of topic id 9a6FWUJTQDOviE35Eg2zMw: offsets 0 to 35" in text
        assert text.rstrip().splitlines()[-1].startswith("sound: ")
        assert "17/0/4" not in text

    def test_entries_and_records(self, capsys):
        assert main(["dump", str(APACHE / "txn-0"), "--entries"]) == 0
        text = capsys.readouterr().out
        assert "17/0/4" in text
        assert "transactional, abort" in text
        assert main(["dump", "--records", str(APACHE / "txn-0" / f"{SEGMENT}.log")]) == 0
        assert "0 2026-11-24T10:57:09.979Z null t0-0-0" in capsys.readouterr().out

    def test_damaged(self, data, capsys):
        log = data / "txn-0" / f"{SEGMENT}.log"
        patch(log, 87 + 70, b"\xff")
        assert main(["dump", str(data)]) == 1
        text = capsys.readouterr().out
        assert "DAMAGED in 1 place:" in text
        assert f"{log}, byte 87: " in text

    def test_json(self, data, capsys):
        assert main(["dump", "--json", "--records", str(data)]) == 0
        (report,) = json.loads(capsys.readouterr().out)
        assert report["damage"] == []
        partition = report["directories"][0]["partitions"][2]
        assert partition["name"] == "txn-0"
        batch = partition["files"][0]["content"][0]
        assert batch["content"][0]["value"] == {"text": "t0-0-0"}
        patch(data / "txn-0" / f"{SEGMENT}.log", 80, b"\xff")
        assert main(["dump", "--json", str(data)]) == 1
        (report,) = json.loads(capsys.readouterr().out)
        assert report["damage"][0]["position"] == 0

    def test_what_cannot_be_read(self, tmp_path, capsys):
        assert main(["dump", str(tmp_path / "absent")]) == 2
        assert "absent: No such file or directory" in capsys.readouterr().err

    def test_as_a_module(self):
        ran = subprocess.run(
            [sys.executable, "-m", "kcore", "dump", str(APACHE / "txn-0")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "sound: " in ran.stdout
