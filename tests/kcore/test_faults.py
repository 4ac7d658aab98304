"""Every file call of the log's life fails once: nothing flushed is lost, nobody is lied to."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kcore import syscalls
from kcore.batch_builder import build
from kcore.errors import LogFailed
from kcore.log import Log, LogDirFailure
from kcore.log_config import LogConfig

NOW_MS = 1_700_000_000_000
CONFIG = LogConfig(segment_bytes=6000, index_interval_bytes=300, file_delete_delay_ms=0)


@pytest.fixture(autouse=True)
def healed() -> Iterator[None]:
    yield
    syscalls.clear()


@dataclass
class Story:
    """What a client of the log was told."""

    path: str
    failure: LogDirFailure = field(default_factory=LogDirFailure)
    appended: list[tuple[int, bytes]] = field(default_factory=list)
    flushed: int = 0
    closed: bool = False
    log: Log | None = None

    def batch(self, number: int) -> bytes:
        return build(
            [(b"k%d" % number, b"v" * 300, (), NOW_MS + number)] * 2,
            producer_id=7,
            producer_epoch=0,
            base_sequence=2 * number,
        )

    def append(self, number: int, epoch: int) -> None:
        assert self.log is not None
        result = self.log.append(self.batch(number), leader_epoch=epoch, now_ms=NOW_MS)
        # Only what was answered counts.
        self.appended.append((result.base_offset, self.batch(number)))

    def flush(self) -> None:
        assert self.log is not None
        self.flushed = self.log.flush()
        assert self.flushed == self.log.log_end_offset

    def open(self, *, clean: bool) -> None:
        self.log = Log.open(
            self.path,
            CONFIG,
            now_ms=NOW_MS,
            clean=clean,
            recovery_point=self.flushed,
            failure=self.failure,
        )

    def run(self) -> None:
        self.open(clean=True)
        assert self.log is not None
        for number in range(14):
            self.append(number, number // 6)
            if number % 5 == 4:
                self.flush()
        self.log.roll(NOW_MS)
        self.append(14, 2)
        slice_ = self.log.read(3, 5000)
        assert len(slice_) > 0
        self.log.warm(slice_)
        self.log.read_cold(0, 100_000)
        self.log.truncate_to(26)
        self.appended = [(o, b) for o, b in self.appended if o < 26]
        self.flushed = min(self.flushed, 26)
        self.append(13, 3)
        self.flush()
        self.log.take_producer_snapshot()
        self.log.close()
        self.flushed = 28
        self.closed = True
        self.open(clean=True)
        self.append(14, 4)
        self.flush()
        self.log.advance_log_start(4)
        self.log.delete_old_segments(NOW_MS, self.log.log_end_offset)
        self.log.delete_files_due(NOW_MS)
        self.log.close()


def check_survivors(story: Story) -> None:
    """Opens what is left, as a process that found no clean shutdown file does."""
    story.failure = LogDirFailure()
    story.open(clean=False)
    log = story.log
    assert log is not None
    assert log.log_end_offset >= story.flushed
    start = log.log_start_offset
    for offset, batch in story.appended:
        if start <= offset < log.log_end_offset:
            assert bytes(log.read(offset, 1))[16:] == batch[16:]
    answered = max((o + 2 for o, _ in story.appended), default=0)
    assert log.log_end_offset >= min(story.flushed, answered)
    again = log.append(story.batch(15), leader_epoch=9, now_ms=NOW_MS, origin=2)
    assert log.flush() == again.last_offset + 1
    log.close()


ERRORS = {
    "open": (errno.EIO, errno.EMFILE),
    "close": (errno.EIO,),
    "pwrite": (errno.EIO, errno.ENOSPC),
    "pread": (errno.EIO,),
    "fallocate": (errno.ENOSPC,),
    "ftruncate": (errno.EIO,),
    "fdatasync": (errno.EIO, errno.ENOSPC),
    "fsync": (errno.EIO,),
    "mmap": (errno.EIO, errno.ENOMEM),
    "munmap": (errno.EIO,),
    "madvise": (errno.EIO, errno.ENOMEM),
    "rename": (errno.EIO,),
    "unlink": (errno.EIO,),
}


@pytest.mark.parametrize("call", sorted(ERRORS))
def test_every_call_fails_once(call: str, tmp_path: Path) -> None:
    points = 0
    for place, code in enumerate(ERRORS[call]):
        # The first error at every call, others at every third: the test stays a matter of seconds.
        for nth in range(1, 10_000, 3 if place else 1):
            story = Story(str(tmp_path / f"{code}-{nth}" / "t-0"))
            syscalls.inject(call, nth, code)
            error = None
            try:
                story.run()
            except LogFailed as raised:
                error = raised
            fired = syscalls.fired()
            syscalls.clear()
            if fired == 0:
                assert error is None
                break
            points += 1
            if error is not None:
                transient = code in (errno.EMFILE, errno.ENOMEM)
                assert story.failure.failed or transient, (call, nth, error)
                assert isinstance(error.__cause__, OSError) or story.failure.failed
                if story.failure.failed and story.log is not None:
                    with pytest.raises(LogFailed):
                        story.log.append(story.batch(20), leader_epoch=9, now_ms=NOW_MS)
                    with pytest.raises(LogFailed):
                        story.log.flush()
            check_survivors(story)
        else:
            raise AssertionError("the scenario never got through")
    assert points > 0, f"{call} is never made: the test proves nothing"


@pytest.mark.parametrize(
    "call", ["open", "pwrite", "pread", "fallocate", "fdatasync", "fsync", "madvise"]
)
def test_interrupted_calls_are_made_again(call: str, tmp_path: Path) -> None:
    for nth in range(1, 12):
        story = Story(str(tmp_path / f"{nth}" / "t-0"))
        syscalls.inject(call, nth, errno.EINTR, times=2)
        story.run()
        syscalls.clear()
        assert not story.failure.failed


def test_short_writes_are_finished(tmp_path: Path) -> None:
    for nth in range(1, 30):
        story = Story(str(tmp_path / f"{nth}" / "t-0"))
        syscalls.inject("pwrite", nth, 0)
        story.run()
        syscalls.clear()
        check_survivors(story)


def test_one_failed_sync_takes_every_log_of_the_directory_offline(tmp_path: Path) -> None:
    failure = LogDirFailure(str(tmp_path))
    heard: list[LogDirFailure] = []
    failure.subscribe(heard.append)
    logs = [
        Log.open(str(tmp_path / f"t-{i}"), CONFIG, now_ms=NOW_MS, clean=True, failure=failure)
        for i in range(2)
    ]
    for log in logs:
        log.append(build([(None, b"v")]), leader_epoch=0, now_ms=NOW_MS)
    syscalls.inject("fdatasync", 1, errno.EIO)
    with pytest.raises(LogFailed):
        logs[0].flush()
    syscalls.clear()
    assert heard == [failure]
    assert failure.failed
    assert isinstance(failure.cause, OSError)
    with pytest.raises(LogFailed):
        logs[1].append(build([(None, b"v")]), leader_epoch=0, now_ms=NOW_MS)
    with pytest.raises(LogFailed):
        logs[1].flush()
    assert logs[0].recovery_point == 0
    assert len(logs[1].read(0, 1000)) > 0, "reads go on"
    for log in logs:
        log.close()
