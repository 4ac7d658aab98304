"""Group commit: who shares a flush, and that a failed one acknowledges nothing."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from kafka_py.replication.purgatory import AppendPurgatory
from kafka_py.server.flush import CREDIT_MAX, CREDIT_MIN, LONG_COST, SLOW_COST, Flusher
from kafka_py.testing.clock import VirtualClock
from kcore.errors import LogFailed
from tests.waiting import PATIENCE_S


class DiskLog:
    """A log whose flushes a test holds up or breaks."""

    def __init__(self, path: str = "log") -> None:
        self.path = path
        self.log_end_offset = 0
        self.recovery_point = 0
        self.begun = 0
        self.flushes = 0
        self.broken = False
        self.takes_us = 50.0
        self.clock: VirtualClock | None = None
        self.closed = False
        self.go_on = threading.Event()
        self.go_on.set()
        #: Whether each flush needs a `go_on` of its own.
        self.each_waits = False

    def flush(self) -> int:
        end_offset = self.log_end_offset
        self.begun += 1
        assert self.go_on.wait(PATIENCE_S)
        if self.each_waits:
            self.go_on.clear()
        self.flushes += 1
        if self.clock is not None:
            self.clock.advance(self.takes_us / 1000)
        if self.broken:
            raise LogFailed(f"{self.path}: the disk is gone")
        self.recovery_point = end_offset
        return end_offset


class Replica:
    """What a flusher uses of a Partition (which takes only a real log)."""

    def __init__(self, log: DiskLog) -> None:
        self.log = log
        self.offline = False
        self.high_watermark = 0
        self.append_waiters: deque[tuple[int, Any]] = deque()


class Replicas:
    """What a flusher uses of a ReplicaManager."""

    def __init__(self) -> None:
        self.appends = AppendPurgatory()


class Request:
    """An acks=all request."""

    deadline_ms = 10**9
    done = False

    def __init__(self) -> None:
        self.answered = False

    def satisfied(self) -> None:
        self.answered = True

    def expire(self) -> None:
        raise AssertionError

    def fail(self, error: int) -> None:
        raise AssertionError(error)


class Case:
    """A flusher in a running loop, and its partitions."""

    def __init__(self, policy: str = "group", group_ms: int = 0, gather_percent: int = 0) -> None:
        self.replicas = Replicas()
        self.answered_for = 0
        self.clock = VirtualClock()
        self.flusher = Flusher(
            asyncio.get_running_loop(),
            self.replicas,  # type: ignore[arg-type]
            policy=policy,
            group_ms=group_ms,
            answering=self.count,
            clock=self.clock,
            inline_us_max=100,
            gather_percent=gather_percent,
        )

    def count(self) -> None:
        self.answered_for += 1

    def partition(self, name: str = "t") -> tuple[Any, DiskLog]:
        log = DiskLog(name)
        log.clock = self.clock
        return Replica(log), log

    def append(self, partition: Any) -> Request:
        """One more record, and who waits for it."""
        partition.log.log_end_offset += 1
        end = partition.log.log_end_offset
        partition.high_watermark = end
        request = Request()
        self.replicas.appends.watch(request, partition, end)
        self.flusher.appended(partition)
        return request


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not check():
            await asyncio.sleep(0.001)


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_appends_of_one_wake_up_share_a_flush() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        requests = [case.append(partition) for _ in range(20)]
        assert not any(one.answered for one in requests)
        await until(lambda: all(one.answered for one in requests))
        assert (log.flushes, case.flusher.flushes, case.answered_for) == (1, 1, 1)
        case.flusher.close()

    run(test)


def test_what_comes_during_a_flush_shares_the_next() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        log.go_on.clear()
        first = case.append(partition)
        await until(lambda: log.begun == 1)
        later = [case.append(partition) for _ in range(10)]
        log.go_on.set()
        await until(lambda: first.answered)
        await until(lambda: all(one.answered for one in later))
        assert log.flushes == 2
        case.flusher.close()

    run(test)


def test_a_request_is_not_answered_by_a_flush_that_began_before_it() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        log.go_on.clear()
        log.each_waits = True
        first = case.append(partition)
        await until(lambda: log.begun == 1)
        second = case.append(partition)
        log.go_on.set()
        await until(lambda: first.answered)
        await until(lambda: log.begun == 2)
        assert not second.answered
        log.go_on.set()
        await until(lambda: second.answered)
        case.flusher.close()

    run(test)


def test_a_flush_waits_for_those_whom_the_last_one_answered() -> None:
    async def test() -> None:
        case = Case(gather_percent=100_000_000)
        partition, log = case.partition()
        case.flusher.syncs.gather_ns_max = int(PATIENCE_S * 1e9)
        log.go_on.clear()
        first = [case.append(partition) for _ in range(3)]
        await until(lambda: log.begun == 1)
        meanwhile = case.append(partition)
        log.each_waits = True
        log.go_on.set()
        await until(lambda: all(one.answered for one in first))
        # Three were answered and one came meanwhile, so four are waited for ...
        again = [case.append(partition) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert log.begun == 1
        again.append(case.append(partition))
        await until(lambda: log.begun == 2)
        case.flusher.syncs.gather_ns_max = 1_000_000
        log.each_waits = False
        log.go_on.set()
        await until(lambda: all(one.answered for one in (meanwhile, *again)))
        assert log.flushes == 2
        # ... but not for ever: the other three stay away.
        alone = case.append(partition)
        await until(lambda: alone.answered)
        assert log.flushes == 3
        case.flusher.close()

    run(test)


def test_a_flush_waits_for_nobody_where_that_is_off() -> None:
    async def test() -> None:
        case = Case(gather_percent=0)
        partition, log = case.partition()
        case.flusher.syncs.gather_ns_max = int(PATIENCE_S * 1e9)
        log.go_on.clear()
        first = [case.append(partition) for _ in range(3)]
        await until(lambda: log.begun == 1)
        log.go_on.set()
        await until(lambda: all(one.answered for one in first))
        began = time.monotonic()
        alone = case.append(partition)
        await until(functools.partial(getattr, alone, "answered"))
        assert time.monotonic() - began < PATIENCE_S / 2
        case.flusher.close()

    run(test)


def test_a_failed_flush_acknowledges_nothing_and_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        case = Case()
        (bad, bad_log), (good, good_log) = case.partition("bad"), case.partition("good")
        bad_log.broken = True
        lost, kept = case.append(bad), case.append(good)
        await until(lambda: kept.answered)
        assert bad_log.flushes == good_log.flushes == 1
        assert not lost.answered
        assert "flushing bad failed" in caplog.text
        # An offline partition is not flushed again.
        bad.offline = True
        again = case.append(bad)
        kept = case.append(good)
        await until(lambda: kept.answered)
        assert bad_log.flushes == 1
        assert not again.answered
        case.flusher.close()

    run(test)


def test_an_answer_that_fails_is_its_own_affair(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Request):
        def satisfied(self) -> None:
            raise RuntimeError("no answer")

    async def test() -> None:
        case = Case()
        (bad, bad_log), (good, _) = case.partition("bad"), case.partition("good")
        bad_log.log_end_offset = bad.high_watermark = 1
        case.replicas.appends.watch(Broken(), bad, 1)
        case.flusher.appended(bad)
        kept = [case.append(bad), case.append(good)]
        await until(lambda: kept[1].answered)
        assert "an answer after a flush of bad failed" in caplog.text
        # Who waits behind it is answered with the next flush.
        kept.append(case.append(bad))
        await until(lambda: kept[0].answered and kept[2].answered)
        case.flusher.close()

    run(test)


def test_a_flush_of_the_log_that_a_partition_has_left_says_nothing_of_the_other() -> None:
    """It moves to another directory meanwhile, and that disk may lack what this one has."""

    async def test() -> None:
        case = Case()
        partition, left = case.partition()
        left.go_on.clear()
        request = case.append(partition)
        await until(lambda: left.begun == 1)
        taken = partition.log = DiskLog("taken")
        taken.log_end_offset = left.log_end_offset
        left.go_on.set()
        await until(lambda: case.flusher.flushes == 1)
        assert left.recovery_point == 1
        assert not request.answered
        taken.flush()
        case.flusher.advanced(partition)
        assert request.answered
        case.flusher.close()

    run(test)


def test_the_high_watermark_bounds_what_is_acknowledged() -> None:
    """Durable here, and not yet on the other in-sync replicas."""

    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        first, second = case.append(partition), case.append(partition)
        partition.high_watermark = 1
        await until(lambda: first.answered)
        await until(lambda: log.recovery_point == 2)
        assert not second.answered
        partition.high_watermark = 2
        case.flusher.advanced(partition)
        assert second.answered
        case.flusher.close()

    run(test)


def test_a_replicated_append_still_waits_for_the_disk() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        log.go_on.clear()
        request = case.append(partition)
        case.flusher.advanced(partition)
        assert not request.answered
        log.go_on.set()
        await until(lambda: request.answered)
        case.flusher.policy = "none"
        request = case.append(partition)
        await asyncio.sleep(0.01)
        assert log.flushes == 1
        case.flusher.advanced(partition)
        assert request.answered
        case.flusher.close()

    run(test)


def test_a_group_waits_for_its_time() -> None:
    async def test() -> None:
        case = Case(group_ms=40)
        partition, log = case.partition()
        due: list[tuple[float, Callable[[], None]]] = []
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_later", lambda delay_s, call: due.append((delay_s, call)))
            first, second = case.append(partition), case.append(partition)
        await asyncio.sleep(0.01)
        ((delay_s, call),) = due
        assert (delay_s, log.begun) == (0.04, 0)
        call()
        await until(lambda: first.answered and second.answered)
        assert log.flushes == 1
        case.flusher.close()

    run(test)


@pytest.mark.parametrize("policy", ["none", "interval"])
def test_other_policies_do_not_wait(policy: str) -> None:
    async def test() -> None:
        case = Case(policy)
        assert not case.flusher.waits
        partition, log = case.partition()
        case.append(partition)
        await asyncio.sleep(0.02)
        assert log.flushes == 0
        case.flusher.close()
        case.flusher.close()

    run(test)


def test_a_loop_that_ended_meanwhile_is_no_error() -> None:
    log: list[DiskLog] = []

    async def test() -> None:
        case = Case()
        partition, disk = case.partition()
        log.append(disk)
        disk.go_on.clear()
        case.append(partition)
        await until(lambda: disk.begun == 1)
        log.append(case.flusher)  # type: ignore[arg-type]

    run(test)
    disk, flusher = log
    disk.go_on.set()
    flusher.close()  # type: ignore[attr-defined]
    assert disk.flushes == 1


async def flush_often(case: Case, partition: Any, times: int) -> None:
    """So many flushes by the thread, one after the other."""
    for _ in range(times):
        request = case.append(partition)
        await until(lambda one=request: one.answered)  # type: ignore[misc]


def waits(case: Case, partition: Any) -> Request:
    """One more record and who waits for it; nobody has asked for a flush yet."""
    partition.log.log_end_offset += 1
    partition.high_watermark = partition.log.log_end_offset
    request = Request()
    case.replicas.appends.watch(request, partition, partition.high_watermark)
    return request


def test_the_loop_flushes_itself_once_the_disk_was_fast_for_a_while() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        await flush_often(case, partition, CREDIT_MIN - 1)
        assert not case.flusher.at_once(partition, True)
        await flush_often(case, partition, 1)
        request = waits(case, partition)
        assert case.flusher.at_once(partition, True)
        assert request.answered
        assert (log.recovery_point, case.flusher.flushes_at_once) == (CREDIT_MIN + 1, 1)
        # Slower than the limit: the thread again, until so many more were fast.
        log.takes_us = 150
        waits(case, partition)
        assert case.flusher.at_once(partition, True)
        assert not case.flusher.at_once(partition, True)
        log.takes_us = 50
        await flush_often(case, partition, SLOW_COST - 1)
        waits(case, partition)
        assert case.flusher.at_once(partition, True)
        # A disk that has long been fast may be slow now and then.
        await flush_often(case, partition, 2 * CREDIT_MAX)
        log.takes_us = 3999
        for _ in range((CREDIT_MAX - CREDIT_MIN) // SLOW_COST + 1):
            waits(case, partition)
            assert case.flusher.at_once(partition, True)
        assert not case.flusher.at_once(partition, True)
        # One that has been slow for long is not the slower to become fast.
        await flush_often(case, partition, 100)
        log.takes_us = 50
        await flush_often(case, partition, CREDIT_MIN)
        waits(case, partition)
        assert case.flusher.at_once(partition, True)
        # Very slow: for much longer.
        log.takes_us = 4001
        waits(case, partition)
        assert case.flusher.at_once(partition, True)
        log.takes_us = 50
        await flush_often(case, partition, CREDIT_MIN + LONG_COST - 1)
        assert not case.flusher.at_once(partition, True)
        await flush_often(case, partition, 1)
        assert case.flusher.at_once(partition, True)
        case.flusher.close()

    run(test)


def test_the_loop_leaves_to_the_thread_what_others_wait_for() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        await flush_often(case, partition, CREDIT_MIN)
        log.go_on.clear()
        case.append(partition)
        assert not case.flusher.at_once(partition, True)
        await until(lambda: log.begun == CREDIT_MIN + 1)
        assert not case.flusher.at_once(partition, True)
        log.go_on.set()
        await until(lambda: log.recovery_point == log.log_end_offset)
        await until(lambda: not case.flusher.syncs.busy)
        case.flusher.group_ms = 5
        assert not case.flusher.at_once(partition, True)
        case.flusher.group_ms = 0
        case.flusher.policy = "none"
        assert not case.flusher.at_once(partition, True)
        case.flusher.policy = "group"
        partition.offline = True
        assert not case.flusher.at_once(partition, True)
        partition.offline = False
        assert case.flusher.at_once(partition, True)
        case.flusher.close()

    run(test)


def test_a_flush_of_the_loop_that_fails_acknowledges_nothing() -> None:
    async def test() -> None:
        case = Case()
        partition, log = case.partition()
        await flush_often(case, partition, CREDIT_MIN)
        log.broken = True
        request = waits(case, partition)
        assert case.flusher.at_once(partition, True)
        assert not request.answered
        case.flusher.close()

    run(test)
