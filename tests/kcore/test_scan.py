"""kcore.scan: what is sound is counted, what is not is named by file, byte, offset and reason."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore import syscalls
from kcore.__main__ import main
from kcore.batch_builder import build
from kcore.log import Log
from kcore.log_config import LogConfig
from kcore.scan import check, verify

APACHE = Path(__file__).parent / "apache"
NOW_MS = 1_700_000_000_000


def batches(*counts: int, at: int = 0, value: bytes = b"v" * 50) -> list[bytes]:
    """Batches of so many records each, offsets one after the other."""
    made = []
    for count in counts:
        made.append(build([(None, value, (), NOW_MS)] * count, base_offset=at))
        at += count
    return made


def flipped(batch: bytes, position: int = 70) -> bytes:
    """The batch with one bit of one byte turned over."""
    return batch[:position] + bytes([batch[position] ^ 1]) + batch[position + 1 :]


def wrong(found) -> list[tuple[int, int, str]]:
    """Position, offset and reason of all damage."""
    return [(damage.position, damage.offset, damage.reason) for damage in found.damage]


class TestCheck:
    def test_sound(self):
        made = batches(1, 2, 3, at=40)
        found = check(b"".join(made))
        assert (found.batches, found.records, found.bytes) == (3, 6, sum(map(len, made)))
        assert (found.first_offset, found.next_offset) == (40, 46)
        assert found.damage == ()
        assert found.zeros_bytes == 0

    def test_nothing(self):
        assert check(b"")[1:] == (0, 0, 0, 0, 0, 0, ())
        assert check(b"", 70).next_offset == 70

    def test_every_wrong_checksum_is_named_and_the_walk_goes_on(self):
        a, b, c, d = batches(1, 2, 3, 4)
        found = check(a + flipped(b) + c + flipped(d))
        assert wrong(found) == [
            (len(a), 1, "a checksum does not match"),
            (len(a + b + c), 6, "a checksum does not match"),
        ]
        assert (found.batches, found.records, found.bytes) == (2, 4, len(a + c))
        assert found.next_offset == 6

    @pytest.mark.parametrize(
        ("position", "content", "reason"),
        [
            (8, b"\0\0\0\x05", "an impossible batch length"),
            (8, b"\xff\xff\xff\xff", "an impossible batch length"),
            (8, b"\x7f\xff\xff\xff", "a batch is cut short"),
            (16, b"\x01", "no batch of version 2"),
        ],
    )
    def test_a_header_that_cannot_be_trusted_ends_the_walk(self, position, content, reason):
        a, b, c = batches(1, 2, 3)
        bad = b[:position] + content + b[position + len(content) :]
        found = check(a + bad + c)
        assert wrong(found) == [(len(a), 1, reason)]
        assert (found.batches, found.bytes, found.next_offset) == (1, len(a), 1)

    def test_a_torn_tail(self):
        a, b = batches(1, 2)
        for size in range(8, len(b)):  # the first seven bytes are zeros
            assert wrong(check(a + b[:size])) == [(len(a), 1, "a batch is cut short")]

    def test_zeros_up_to_the_end_are_room_and_not_damage(self):
        a, b = batches(1, 2)
        for count in (1, 16, 17, 61, 5000):
            found = check(a + b + bytes(count))
            assert (found.damage, found.zeros_bytes, found.batches) == ((), count, 2), count
        assert wrong(check(a + bytes(4000) + b"x")) == [(len(a), 1, "no batch of version 2")]

    def test_offsets_that_go_back(self):
        a, b = batches(3, 3)
        found = check(a + b + b + a)
        assert wrong(found) == [
            (len(a + b), 6, "offsets do not ascend"),
            (len(a + b + b), 6, "offsets do not ascend"),
        ]
        # A gap is what compaction leaves.
        assert check(a + batches(1, at=100)[0]).damage == ()

    @pytest.mark.parametrize("base", [-1, -(1 << 63), (1 << 63) - 1, 1 << 31])
    def test_offsets_beyond_reach(self, base):
        (batch,) = batches(3)
        found = check(struct.pack(">q", base) + batch[8:], 0)
        assert wrong(found) == [(0, 0, "offsets do not ascend")]

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_any_byte_behind_the_epoch_is_noticed(self, data):
        a, b, c = batches(1, 2, 1)
        position = data.draw(st.integers(16, len(b) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        bad = b[:position] + bytes([b[position] ^ bit]) + b[position + 1 :]
        found = check(a + bad + c)
        assert [damage.position for damage in found.damage] == [len(a)]

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200), st.integers(0, 130))
    def test_hostile_bytes(self, content, at):
        sound = b"".join(batches(1, 1))
        found = check(sound[:at] + content)
        assert found.bytes + found.zeros_bytes <= at + len(content)
        assert found.batches * 61 <= found.bytes


class TestFiles:
    def test_apaches_directory(self):
        assert verify(APACHE / "idem-0")[1:4] != (0, 0, 0)
        for name, end in (("__cluster_metadata-0", 390), ("idem-0", 168), ("txn-0", 35)):
            found = verify(APACHE / name)
            assert found.damage == (), name
            assert found.next_offset == end
            assert found.bytes == sum(p.stat().st_size for p in (APACHE / name).glob("*.log"))

    def test_a_log_of_many_segments(self, tmp_path):
        log = self.log(tmp_path)
        files = sorted((tmp_path / "t-0").glob("*.log"))
        found = verify(tmp_path / "t-0")
        assert (found.files, found.batches, found.records) == (len(files), 200, 400)
        assert (found.first_offset, found.next_offset) == (0, log.log_end_offset)
        assert found.damage == ()
        middle = verify(files[1])
        assert (middle.files, middle.first_offset) == (1, int(files[1].stem))

    def test_damage_in_the_middle_names_its_file(self, tmp_path):
        self.log(tmp_path)
        files = sorted((tmp_path / "t-0").glob("*.log"))
        content = bytearray(files[1].read_bytes())
        content[-1] ^= 1
        files[1].write_bytes(content)
        (damage,) = verify(tmp_path / "t-0").damage
        assert damage.file == str(files[1])
        assert damage.reason == "a checksum does not match"

    def test_segments_that_overlap(self, tmp_path):
        self.log(tmp_path)
        files = sorted((tmp_path / "t-0").glob("*.log"))
        stray = tmp_path / "t-0" / f"{1:020d}.log"
        stray.write_bytes(b"")
        (damage,) = verify(tmp_path / "t-0").damage
        assert (damage.position, damage.reason) == (0, "begins below the end of the file before it")
        assert (damage.file, damage.offset) == (str(stray), int(files[1].stem))

    def test_a_window_that_cuts_batches(self, tmp_path):
        # More than one window of 8 MiB, with batches across its edges.
        made = batches(*[1] * 7, value=bytes(3 << 20))
        path = tmp_path / f"{0:020d}.log"
        path.write_bytes(b"".join(made) + bytes(9 << 20))
        found = verify(path)
        assert (found.batches, found.zeros_bytes, found.damage) == (7, 9 << 20, ())

    def test_a_disk_that_cannot_read_is_an_error(self, tmp_path):
        path = tmp_path / f"{0:020d}.log"
        path.write_bytes(batches(1)[0])
        os.truncate(path, 20 << 20)  # a hole: pages that are not in memory
        assert verify(path).zeros_bytes == (20 << 20) - len(batches(1)[0])
        with path.open("r+b") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        syscalls.inject("madvise", 1, 5)
        try:
            with pytest.raises(OSError, match="Input/output error"):
                verify(path)
        finally:
            syscalls.clear()

    def test_a_disk_that_fails_in_the_middle_of_a_large_file(self, tmp_path):
        made = batches(*[1] * 40, value=bytes(1 << 20))
        path = tmp_path / f"{0:020d}.log"
        path.write_bytes(b"".join(made))
        threads = len(os.listdir("/proc/self/task"))
        for step in (1, 2, 20, 75):
            syscalls.inject("madvise", step, 5)
            try:
                with pytest.raises(OSError, match="Input/output error"):
                    verify(path)
            finally:
                syscalls.clear()
            assert len(os.listdir("/proc/self/task")) == threads
        assert verify(path).batches == 40
        assert len(os.listdir("/proc/self/task")) == threads

    def test_a_batch_larger_than_what_is_read_ahead(self, tmp_path):
        made = batches(1, 1, value=bytes(66 << 20))
        path = tmp_path / f"{0:020d}.log"
        path.write_bytes(b"".join(made))
        assert verify(path).batches == 2
        with path.open("r+b") as file:
            file.seek(len(made[0]) // 2)
            file.write(b"damage")
        found = verify(path)
        assert (found.batches, [one.position for one in found.damage]) == (1, [0])

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            verify(tmp_path / "nothing.log")
        assert verify(tmp_path).files == 0

    def log(self, tmp_path: Path) -> Log:
        """A closed log of several segments."""
        log = Log.open(
            str(tmp_path / "t-0"), LogConfig(segment_bytes=10_000), now_ms=NOW_MS, clean=True
        )
        for _ in range(200):
            log.append(batches(2)[0], leader_epoch=1, now_ms=NOW_MS)
        log.close()
        return log


class TestCommand:
    def test_sound(self, capsys):
        assert main(["verify", str(APACHE / "idem-0"), str(APACHE / "txn-0")]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith(f"{APACHE / 'idem-0'}: sound: offsets 0 to 168 (exclusive)")
        assert len(said) == 2

    def test_a_data_directory_is_all_its_partitions(self, capsys):
        assert main(["verify", str(APACHE)]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3

    def test_damaged(self, tmp_path, capsys):
        a, b = batches(1, 1)
        path = tmp_path / f"{0:020d}.log"
        path.write_bytes(flipped(a) + b + bytes(100))
        assert main(["verify", str(path)]) == 1
        said = capsys.readouterr().out
        assert "DAMAGED in 1 place" in said
        assert f"{path}, byte 0: a checksum does not match (offset 0)" in said
        assert "100 preallocated" in said

    def test_a_path_that_is_not_there(self, tmp_path):
        ran = subprocess.run(
            [sys.executable, "-m", "kcore", "verify", str(tmp_path / "nothing")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 2
        assert "No such file" in ran.stderr
