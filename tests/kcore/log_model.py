"""Random operations on a kcore.Log, held against a list of batches in memory.

    python -m tests.kcore.log_model --seeds 200            # seeds 0..199
    python -m tests.kcore.log_model --seed 17 --steps 400  # one seed again

A crash is a copy of the directory at any moment: what was not flushed is then kept, cut at any
byte, or overwritten with noise or zeros, and files that were not yet synced may be damaged too.
Everything that a flush covered must be there afterwards, and what follows it must be a prefix of
what was appended.
"""

import argparse
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from kcore.batch_builder import build, build_end_marker
from kcore.errors import OffsetOutOfRange
from kcore.log import CLIENT, COORDINATOR, REPLICA, Log
from kcore.log_config import LogConfig
from kcore.segment import LogSlice, set_first_window

START_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Stored:
    """One batch as the log must hold it."""

    base_offset: int
    last_offset: int
    data: bytes
    timestamps: tuple[int, ...]
    epoch: int
    producer: tuple[int, int, int] | None = None  # id, first sequence, last sequence
    sent: bytes = b""
    transactional: bool = False
    marker: bool | None = None  # True: commit, False: abort


@dataclass
class Derived:
    """What the batches say about producers, computed from the list as plainly as it gets."""

    next_sequence: dict[int, int] = field(default_factory=dict)
    ongoing: dict[int, int] = field(default_factory=dict)
    aborted: list[tuple[int, int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, batches: list[Stored]) -> "Derived":
        made = cls()
        for batch in batches:
            if batch.producer is None:
                continue
            producer_id = batch.producer[0]
            if batch.marker is not None:
                first = made.ongoing.pop(producer_id, None)
                if first is not None and not batch.marker:
                    made.aborted.append((producer_id, first, batch.last_offset))
                continue
            made.next_sequence[producer_id] = batch.producer[2] + 1
            if batch.transactional:
                made.ongoing.setdefault(producer_id, batch.base_offset)
        return made


class Model:
    """One seed: a log, its list, and the operations that change both."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.random = random.Random(seed)
        self.directory = directory
        self.generation = 0
        self.now_ms = START_MS
        self.epoch = 0
        self.batches: list[Stored] = []
        self.history: list[Stored] = []  # with those that retention deleted
        self.log_start = 0
        self.end = 0
        self.committed = 0
        self.producer_ids = 0
        self.flushed_sizes: dict[str, int] = {}
        self.held: list[tuple[LogSlice, memoryview, bytes]] = []
        self.trace: list[str] = []
        r = self.random
        self.config = LogConfig(
            segment_bytes=r.choice([1500, 4000, 20000]),
            index_interval_bytes=r.choice([0, 150, 600]),
            segment_index_bytes=r.choice([120, 1 << 20]),
            retention_bytes=r.choice([-1, 6000]),
            retention_ms=r.choice([-1, 50_000]),
            segment_ms=r.choice([20_000, 10**9]),
            preallocate_bytes=r.random() < 0.2,
            timestamp_after_max_ms=10**12,
            file_delete_delay_ms=1000,
        )
        self.log = self.open(clean=True, recovery_point=0)

    @property
    def path(self) -> Path:
        return self.directory / f"g{self.generation}" / "t-0"

    def open(self, *, clean: bool, recovery_point: int) -> Log:
        return Log.open(
            str(self.path),
            self.config,
            now_ms=self.now_ms,
            clean=clean,
            recovery_point=recovery_point,
            log_start_offset=self.log_start,
        )

    # Operations ------------------------------------------------------------------------------

    def records(self) -> list[tuple[bytes, bytes, tuple[()], int]]:
        r = self.random
        self.now_ms += r.randint(0, 500)
        return [
            (b"k", r.randbytes(r.randint(0, 120)), (), self.now_ms + r.randint(-900, 900))
            for _ in range(r.randint(1, 6))
        ]

    def store(self, sent: bytes, origin: int, **facts: object) -> None:
        result = self.log.append(sent, leader_epoch=self.epoch, now_ms=self.now_ms, origin=origin)
        assert not result.duplicate
        assert result.base_offset == self.end, (result, self.end)
        data = bytearray(sent)
        data[0:8] = result.base_offset.to_bytes(8, "big")
        data[12:16] = self.epoch.to_bytes(4, "big")
        self.batches.append(
            Stored(
                result.base_offset,
                result.last_offset,
                bytes(data),
                epoch=self.epoch,
                sent=sent,
                **facts,  # type: ignore[arg-type]
            )
        )
        self.history.append(self.batches[-1])
        self.end = result.last_offset + 1

    def append(self) -> None:
        records = self.records()
        codec = self.random.choice([0, 0, 0, 1, 3])
        self.store(
            build(records, compression=codec), CLIENT, timestamps=tuple(t for *_, t in records)
        )

    def append_idempotent(self) -> None:
        derived = Derived.of(self.history)
        transactional = self.random.random() < 0.5
        fresh = {
            b.producer[0]
            for b in self.batches
            if b.producer and b.producer[1] >= 0 and b.base_offset >= self.log_start
        }
        known = [
            p
            for p in derived.next_sequence
            if (p % 2 == 0) == transactional and p in fresh and self.random.random() < 0.7
        ]
        if known:
            producer_id = known[0]
        else:
            self.producer_ids += 2
            producer_id = self.producer_ids + (0 if transactional else 1)
        sequence = derived.next_sequence.get(producer_id, 0)
        records = self.records()
        sent = build(
            records,
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=sequence,
            transactional=transactional,
        )
        self.store(
            sent,
            CLIENT,
            timestamps=tuple(t for *_, t in records),
            producer=(producer_id, sequence, sequence + len(records) - 1),
            transactional=transactional,
        )

    def end_transaction(self) -> None:
        ongoing = Derived.of(self.history).ongoing
        if not ongoing:
            return
        producer_id = self.random.choice(sorted(ongoing))
        committed = self.random.random() < 0.4
        sent = build_end_marker(
            committed,
            producer_id=producer_id,
            producer_epoch=0,
            coordinator_epoch=0,
            timestamp=self.now_ms,
        )
        self.store(
            sent,
            COORDINATOR,
            timestamps=(self.now_ms,),
            producer=(producer_id, -1, -1),
            marker=committed,
        )

    def retry(self) -> None:
        """The last batch of an idempotent producer once more: the answer is where it was stored."""
        last = {b.producer[0]: b for b in self.batches if b.producer and b.marker is None}
        ongoing = Derived.of(self.history).ongoing
        choices = [
            b
            for p, b in sorted(last.items())
            if b.last_offset >= self.log_start and (not b.transactional or p in ongoing)
        ]
        if not choices:
            return
        batch = self.random.choice(choices)
        result = self.log.append(batch.sent, leader_epoch=self.epoch, now_ms=self.now_ms)
        assert result.duplicate
        assert (result.base_offset, result.last_offset) == (batch.base_offset, batch.last_offset)

    def append_replica(self) -> None:
        data = b""
        stored = []
        end = self.end
        for _ in range(self.random.randint(1, 4)):
            records = self.records()
            gap = self.random.choice([0, 0, 3])
            one = build(records, base_offset=end + gap, leader_epoch=self.epoch)
            last = end + gap + len(records) - 1
            stored.append(
                Stored(end + gap, last, one, tuple(t for *_, t in records), self.epoch, sent=one)
            )
            data += one
            end = last + 1
        self.log.append(data, leader_epoch=-1, now_ms=self.now_ms, origin=REPLICA)
        self.batches += stored
        self.history += stored
        self.end = end

    def new_epoch(self) -> None:
        self.epoch += self.random.randint(1, 2)

    def roll(self) -> None:
        self.log.roll(self.now_ms)

    def sizes(self) -> dict[str, int]:
        return {Path(s.path).name: s.size_bytes for s in self.log.segments}

    def flush(self) -> None:
        assert self.log.flush(now_ms=self.now_ms) == self.end
        self.flushed_sizes = self.sizes()

    def truncate(self) -> None:
        offset = self.random.randint(max(self.committed, self.end - 40), self.end + 1)
        self.log.truncate_to(offset)
        kept = [b for b in self.batches if b.last_offset < offset]
        solid = kept[-1].last_offset + 1 if kept else self.log_start
        if offset < self.end:
            # No gap is left at the end: a restart finds the same end. A segment may begin in one.
            bases = [s.base_offset for s in self.log.segments if s.base_offset <= offset]
            assert self.log.log_end_offset == max(solid, *bases, self.log_start)
        self.end = self.log.log_end_offset
        self.batches = kept
        self.history = [b for b in self.history if b.last_offset < offset]
        sizes = self.sizes()
        self.flushed_sizes = {n: min(s, self.flushed_sizes.get(n, 0)) for n, s in sizes.items()}
        last = self.log.segments[-1]
        self.flushed_sizes[Path(last.path).name] = last.size_bytes

    def start_over(self) -> None:
        offset = self.end + self.random.randint(0, 100)
        self.log.truncate_fully_and_start_at(offset)
        self.batches = []
        self.history = []
        self.log_start = self.end = self.committed = offset
        self.flushed_sizes = {}

    def stable(self) -> int:
        return min([self.end, *Derived.of(self.history).ongoing.values()])

    def commit(self) -> None:
        """Deletion goes up to the high watermark only, below which nothing is truncated or lost."""
        self.flush()
        self.committed = self.end

    def delete_records(self) -> None:
        self.commit()
        offset = self.random.randint(self.log_start, max(self.log_start, self.stable()))
        self.log.advance_log_start(offset)
        self.log_start = max(self.log_start, offset)
        self.forget_deleted()

    def retain(self) -> None:
        self.commit()
        self.log.delete_old_segments(self.now_ms, self.stable())
        assert self.log.log_start_offset >= self.log_start
        self.log_start = self.log.log_start_offset
        self.forget_deleted()
        self.log.delete_files_due(self.now_ms)

    def forget_deleted(self) -> None:
        # Batches that the start offset passed may be on disk or not; nobody may ask for them. They
        # stay in the history: what they told of producers outlives them.
        first = self.log.segments[0].base_offset
        self.batches = [b for b in self.batches if b.last_offset >= min(first, self.log_start)]

    def close_and_open(self) -> None:
        self.log.close()
        self.log = self.open(clean=True, recovery_point=self.log.recovery_point)
        assert self.log.recovery_report.segments_scanned == 0, self.log.recovery_report
        assert self.log.log_end_offset == self.end
        self.flushed_sizes = self.sizes()

    def damage(self, path: Path, safe: int, *, may_shrink: bool) -> None:
        """Does to the bytes behind `safe` what a power cut may do.

        The size of a closed segment was journaled when its space was taken, so it stays."""
        data = path.read_bytes()
        if len(data) <= safe:
            return
        at = self.random.randint(safe, len(data) - 1)
        how = self.random.choice(["keep", "cut", "noise", "zeros", "hole"])
        if how == "cut" and may_shrink:
            path.write_bytes(data[:at])
        elif how == "noise":
            path.write_bytes(data[:at] + self.random.randbytes(len(data) - at))
        elif how in ("zeros", "cut"):
            path.write_bytes(data[:at] + bytes(len(data) - at))
        elif how == "hole":
            stop = self.random.randint(at, len(data))
            path.write_bytes(data[:at] + bytes(stop - at) + data[stop:])

    def crash(self) -> None:
        recovery_point = self.log.recovery_point
        old = self.path
        self.generation += 1
        shutil.copytree(old, self.path)
        torn = self.random.random() < 0.7
        last = Path(self.log.segments[-1].path).name
        if torn:
            for path in sorted(self.path.iterdir()):
                if path.suffix == ".log":
                    self.damage(
                        path, self.flushed_sizes.get(path.name, 0), may_shrink=path.name == last
                    )
                elif (
                    path.suffix in (".index", ".timeindex", ".txnindex", ".snapshot")
                    and int(path.stem) >= self.log.segments[-1].base_offset
                    and self.random.random() < 0.5
                ):
                    self.damage(path, 0, may_shrink=True)
        self.log.close()
        self.check_held()
        self.held.clear()
        shutil.rmtree(old.parent)
        self.log = self.open(clean=False, recovery_point=recovery_point)
        end = self.log.log_end_offset
        assert recovery_point <= end <= self.end, (recovery_point, end, self.end)
        if not torn:
            assert end == self.end
        if end < self.end:
            self.batches = [b for b in self.batches if b.last_offset < end]
            self.history = [b for b in self.history if b.last_offset < end]
            self.end = end
        self.flushed_sizes = self.sizes()
        self.epoch += 1

    # Questions -------------------------------------------------------------------------------

    def check_held(self) -> None:
        for slice_, view, expected in self.held:
            assert bytes(view) == expected
            assert bytes(slice_) == expected

    def read(self) -> None:
        r = self.random
        offset = r.randint(self.log_start, self.end)
        bytes_max = r.choice([0, 1, 200, 1000, 10**6])
        end_offset = r.choice([None, r.randint(self.log_start, self.end + 2)])
        one = r.random() < 0.8
        found = self.log.read(offset, bytes_max, end_offset=end_offset, at_least_one=one)
        upper = self.end if end_offset is None else min(end_offset, self.end)
        wanted = [b for b in self.batches if b.last_offset >= offset and b.last_offset < upper]
        if offset >= upper:
            wanted = []
        expected: list[Stored] = []
        for batch in wanted:
            total = sum(len(b.data) for b in expected) + len(batch.data)
            if total > bytes_max and not (one and not expected):
                break
            expected.append(batch)
        data = bytes(found)
        bounds = {s.base_offset for s in self.log.segments}
        while len(data) < sum(len(b.data) for b in expected) and len(expected) > 1:
            # A read ends where a segment does.
            assert any(
                expected[-2].last_offset < b <= expected[-1].base_offset for b in bounds
            ) or len(data) < sum(len(b.data) for b in expected[:-1]), "short inside a segment"
            expected.pop()
        assert data == b"".join(b.data for b in expected), (offset, bytes_max, end_offset, one)
        if expected:
            assert expected[-1].last_offset < found.next_offset <= self.end
            if r.random() < 0.1 and len(self.held) < 8:
                self.held.append((found, found.view, data))
        else:
            assert found.next_offset == offset

    def outside(self) -> None:
        for offset in (self.log_start - 1, self.end + 1):
            try:
                self.log.read(offset, 100)
            except OffsetOutOfRange:
                continue
            raise AssertionError(f"offset {offset} was readable")

    def by_timestamp(self) -> None:
        target = self.now_ms - self.random.randint(-2000, 40_000)
        found = self.log.offset_for_timestamp(target)
        expected = None
        for batch in self.batches:
            hits = [
                (batch.base_offset + i, t, batch.epoch)
                for i, t in enumerate(batch.timestamps)
                if t >= target and batch.base_offset + i >= self.log_start
            ]
            if hits:
                expected = hits[0]
                break
        assert (tuple(found) if found else None) == expected, (target, found, expected)

    def by_epoch(self) -> None:
        live = [b for b in self.batches if b.last_offset >= self.log_start]
        if not live:
            return
        expected: list[tuple[int, int]] = []
        for batch in live:
            if not expected or expected[-1][0] != batch.epoch:
                expected.append((batch.epoch, max(batch.base_offset, self.log_start)))
        found = [tuple(e) for e in self.log.leader_epochs.entries()]
        if live[0].base_offset > self.log_start and len(found) > len(expected):
            # The log starts in a gap, which belongs to the epoch before it.
            found = found[1:]
        assert [e for e, _ in found] == [e for e, _ in expected], (found, expected)
        for (_, at), (_, wanted) in zip(found, expected, strict=True):
            # A replica's first batch of an epoch may begin behind a gap.
            assert at <= wanted or at == self.log_start
        assert self.log.end_offset_for_epoch(expected[-1][0]) == (expected[-1][0], self.end)

    def transactions(self) -> None:
        derived = Derived.of(self.history)
        first = self.random.randint(self.log_start, self.end)
        upper = self.random.randint(first, self.end)
        found = [tuple(t)[:3] for t in self.log.aborted_transactions(first, upper)]
        # Of a transaction whose first records are deleted the list may know no more than a part.
        partial = {(t[0], t[2]) for t in derived.aborted if t[1] < self.log_start}
        found = [t for t in found if (t[0], t[2]) not in partial]
        expected = [
            t for t in derived.aborted if t[2] >= first and t[1] < upper and t[1] >= self.log_start
        ]
        if upper > first:
            assert sorted(set(found)) == sorted(expected), (first, upper, found, expected)
        assert self.log.first_unstable_offset(self.end) == (
            min(derived.ongoing.values()) if derived.ongoing else None
        )

    OPERATIONS = (
        ("append", 30),
        ("append_idempotent", 10),
        ("end_transaction", 6),
        ("retry", 4),
        ("append_replica", 6),
        ("new_epoch", 2),
        ("roll", 2),
        ("flush", 6),
        ("truncate", 3),
        ("start_over", 0.2),
        ("delete_records", 2),
        ("retain", 2),
        ("close_and_open", 2),
        ("crash", 2),
        ("read", 25),
        ("outside", 1),
        ("by_timestamp", 6),
        ("by_epoch", 4),
        ("transactions", 6),
    )

    def run(self, steps: int) -> None:
        names = [name for name, _ in self.OPERATIONS]
        weights = [weight for _, weight in self.OPERATIONS]
        for _ in range(steps):
            name = self.random.choices(names, weights)[0]
            self.trace.append(name)
            getattr(self, name)()
            assert self.log.log_end_offset == self.end, (name, self.log.log_end_offset, self.end)
            assert self.log.log_start_offset == self.log_start, name
            assert self.log.recovery_point <= self.end
            if self.random.random() < 0.1:
                self.check_held()
        self.check_held()
        self.held.clear()
        self.log.close()


def run_seed(seed: int, steps: int = 150) -> None:
    """Runs one seed in a directory of its own; AssertionError says which.

    Every other one with maps so short that a longer one takes their place twice in a segment.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"kcore-model-{seed}-"))
    usual = set_first_window(1000)
    if seed % 2 == 0:
        set_first_window(usual)
    model = Model(seed, directory)
    try:
        model.run(steps)
    except BaseException as error:
        last = ", ".join(model.trace[-12:])
        again = f"python -m tests.kcore.log_model --seed {seed} --steps {steps}"
        raise AssertionError(
            f"step {len(model.trace)} ({last}): {error!r}; again: {again}"
        ) from error
    finally:
        set_first_window(usual)
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    """Runs the seeds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    seeds = (
        range(options.first, options.first + options.seeds)
        if options.seed is None
        else [options.seed]
    )
    for seed in seeds:
        run_seed(seed, options.steps)
        if seed % 50 == 0:
            print(f"seed {seed} holds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
