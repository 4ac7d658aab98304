"""The judge itself: every kind of broken promise is found, and a log that is right passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash import wire
from tests.crash.load import Batch, Producer, Violation


class Told(Producer):
    """A producer whose partition reads as the test says."""

    stored: list[wire.Stored]

    def _read(self, conn: wire.Connection, timeout_s: float = 15.0) -> list[wire.Stored]:
        return self.stored


def history(sent: int = 6, acknowledged: int = 4) -> Told:
    """Batches sent and acknowledged, and a log with the acknowledged ones and one more."""
    told = Told("t", 0, 1, producer_id=9, epoch=0)
    offset = 0
    stored = []
    for number in range(sent):
        batch: Batch = told.next_batch()
        if number < acknowledged:
            batch.offset = offset
        data = offset.to_bytes(8, "big") + batch.data[8:]
        stored.append(wire.Stored(offset, batch.count, 9, batch.sequence, data))
        offset += batch.count
    told.acknowledged = acknowledged
    told.stored = stored[: acknowledged + 1]
    return told


def check(told: Told) -> int:
    """The judgement; the connection is not used."""
    return told.verify(None)  # type: ignore[arg-type]


def moved(batch: wire.Stored, offset: int) -> wire.Stored:
    """The batch at another offset."""
    return wire.Stored(offset, batch.count, batch.producer_id, batch.base_sequence, batch.data)


def test_what_is_right_passes() -> None:
    """Acknowledged ones, and some that were in flight."""
    told = history()
    assert check(told) == sum(b.count for b in told.batches[:5])
    assert told.batches[4].seen is not None
    assert told.batches[5].seen is None


def flip(told: Told) -> None:
    """One bit of a value."""
    data = bytearray(told.stored[2].data)
    data[-1] ^= 1
    old = told.stored[2]
    told.stored[2] = wire.Stored(
        old.base_offset, old.count, old.producer_id, old.base_sequence, bytes(data)
    )


def twice(told: Told) -> None:
    """A retry stored again."""
    last = told.stored[-1]
    told.stored.append(moved(last, last.base_offset + last.count))


def swap(told: Told) -> None:
    """Two batches in the other order."""
    told.stored[1], told.stored[2] = told.stored[2], told.stored[1]


def lose_tail(told: Told) -> None:
    """The last acknowledged one is gone."""
    del told.stored[3:]


def lose_middle(told: Told) -> None:
    """One in the middle is gone."""
    del told.stored[1]


def shift(told: Told) -> None:
    """A hole in the offsets."""
    told.stored[3] = moved(told.stored[3], told.stored[3].base_offset + 1)


def lie(told: Told) -> None:
    """An acknowledgement that named another offset."""
    assert told.batches[1].offset is not None
    told.batches[1].offset += 1


def invent(told: Told) -> None:
    """More than was ever sent."""
    for _ in range(3):
        twice(told)


@pytest.mark.parametrize("damage", [flip, twice, swap, lose_tail, lose_middle, shift, lie, invent])
def test_what_is_wrong_is_found(damage: Callable[[Told], None]) -> None:
    """Each kind of damage alone."""
    told = history()
    damage(told)
    with pytest.raises(Violation):
        check(told)


def test_incomplete_at_the_end() -> None:
    """After a drain everything that was sent must be there."""
    with pytest.raises(Violation, match="5 of 6"):
        history().verify(None, complete=True)  # type: ignore[arg-type]


def test_a_retry_that_names_another_offset() -> None:
    """A duplicate is answered with the offset that it has."""
    told = history()
    check(told)
    in_flight = told.batches[4]
    assert in_flight.seen is not None
    with pytest.raises(Violation, match="a retry was answered"):
        told._acknowledge(in_flight, in_flight.seen + 1)
