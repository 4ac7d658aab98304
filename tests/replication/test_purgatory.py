"""Who waits for bytes and who for offsets, without any clock."""

from __future__ import annotations

from kafka_py.replication.partition import Partition
from kafka_py.replication.purgatory import DEADLINES_MIN, AppendPurgatory, FetchPurgatory


def partition(index: int = 0) -> Partition:
    return Partition("t", b"i" * 16, index, 1)


class Fetcher:
    """A delayed fetch that is content once `ready`."""

    def __init__(self) -> None:
        self.done = False
        self.ready = False
        self.looks = 0
        self.expired = False

    def attempt(self) -> bool:
        self.looks += 1
        self.done = self.done or self.ready
        return self.done

    def expire(self) -> None:
        self.done = self.expired = True


class Appender:
    """An acks=all request on some partitions."""

    def __init__(self, deadline_ms: int = 100, partitions: int = 1) -> None:
        self.deadline_ms = deadline_ms
        self.waiting = partitions
        self.done = False
        self.expired = False
        self.errors: list[int] = []

    def satisfied(self) -> None:
        self.waiting -= 1
        self.done = self.waiting == 0

    def expire(self) -> None:
        self.done = self.expired = True

    def fail(self, error: int) -> None:
        self.errors.append(error)
        self.satisfied()


def test_a_burst_of_appends_costs_one_look() -> None:
    purgatory, one, waiter = FetchPurgatory(), partition(), Fetcher()
    purgatory.watch(waiter, [one], 50)
    for _ in range(100):
        purgatory.touch(one)
    purgatory.work_off()
    assert waiter.looks == 1
    assert not waiter.done
    assert one.fetch_waiters == [waiter]
    waiter.ready = True
    purgatory.touch(one)
    purgatory.work_off()
    assert waiter.done
    assert one.fetch_waiters is None
    assert len(purgatory) == 0


def test_who_nobody_waits_for_is_not_noted() -> None:
    purgatory = FetchPurgatory()
    purgatory.touch(partition())
    assert not purgatory.has_touched


def test_deadlines_come_in_order_and_skip_the_answered() -> None:
    purgatory, one = FetchPurgatory(), partition()
    early, late, answered = Fetcher(), Fetcher(), Fetcher()
    purgatory.watch(late, [one], 90)
    purgatory.watch(answered, [one], 10)
    purgatory.watch(early, [one], 50)
    answered.done = True
    assert purgatory.next_deadline_ms() == 50
    purgatory.expire(49)
    assert not early.expired
    purgatory.expire(50)
    assert early.expired
    assert not late.expired
    assert not answered.expired
    assert purgatory.next_deadline_ms() == 90
    purgatory.expire(1000)
    assert late.expired
    assert purgatory.next_deadline_ms() is None


def test_answered_waiters_do_not_pile_up() -> None:
    """Neither on a quiet partition nor before a deadline of weeks."""
    purgatory, quiet = FetchPurgatory(), partition()
    patient = Fetcher()
    purgatory.watch(patient, [quiet], 5)
    for _ in range(10 * DEADLINES_MIN):
        waiter = Fetcher()
        purgatory.watch(waiter, [quiet], 2**31)
        waiter.done = True
    assert len(quiet.fetch_waiters or ()) < 64
    assert len(purgatory._deadlines) <= DEADLINES_MIN
    purgatory.expire(5)
    assert patient.expired


def test_a_waiter_that_answers_may_let_another_wait() -> None:
    purgatory, one = FetchPurgatory(), partition()
    following = Fetcher()

    class Chain(Fetcher):
        def attempt(self) -> bool:
            purgatory.watch(following, [one], 60)
            self.done = True
            return True

    purgatory.watch(Chain(), [one], 50)
    purgatory.touch(one)
    purgatory.work_off()
    assert one.fetch_waiters == [following]


def test_appends_are_answered_up_to_the_offset_reached() -> None:
    purgatory, one = AppendPurgatory(), partition()
    first, second = Appender(), Appender()
    purgatory.watch(first, one, 3)
    purgatory.watch(second, one, 5)
    purgatory.reached(one, 2)
    assert not first.done
    purgatory.reached(one, 4)
    assert first.done
    assert not second.done
    assert not purgatory.idle
    purgatory.reached(one, 9)
    assert second.done
    assert purgatory.idle


def test_an_append_waits_for_all_its_partitions() -> None:
    purgatory, one, two = AppendPurgatory(), partition(0), partition(1)
    waiter = Appender(partitions=2)
    purgatory.watch(waiter, one, 1)
    purgatory.watch(waiter, two, 1)
    purgatory.reached(two, 1)
    assert not waiter.done
    for failed in purgatory.fail(one):
        failed.fail(6)
    assert waiter.done
    assert waiter.errors == [6]
    assert purgatory.idle


def test_only_the_late_appends_expire() -> None:
    purgatory, one = AppendPurgatory(), partition()
    late, patient = Appender(10), Appender(99)
    purgatory.watch(late, one, 1)
    purgatory.watch(patient, one, 2)
    purgatory.expire(9)
    assert not late.expired
    purgatory.expire(10)
    assert late.expired
    assert not patient.expired
    purgatory.reached(one, 2)
    assert patient.done
