"""Which brokers hold the replicas of new partitions: striped over racks and brokers.

The rules are those of Kafka's striped placer: leaders spread evenly over racks and within a rack
over brokers; a partition's replicas lie in different racks where there are enough; a fenced broker
is used only when there is no other and never leads; after as many partitions as there are unfenced
brokers all lists are shuffled, so that the same brokers do not always meet.
"""

from __future__ import annotations

from typing import Any

from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ApiError, ErrorCode

__all__ = ["place_replicas"]


def place_replicas(
    image: MetadataImage, partitions: int, replication_factor: int, random: Any
) -> list[list[int]]:
    """The replicas of `partitions` new partitions, leader first.

    Raises ApiError(INVALID_REPLICATION_FACTOR) when there are too few brokers.
    """
    racks = _Racks(image, random)
    if replication_factor <= 0:
        raise _refused(
            f"Invalid replication factor {replication_factor}: "
            "the replication factor must be positive."
        )
    if racks.unfenced == 0:
        raise _refused("All brokers are currently fenced.")
    if replication_factor > racks.total:
        raise _refused(
            f"The target replication factor of {replication_factor} cannot be reached "
            f"because only {racks.total} broker(s) are registered or some brokers have all their "
            "log directories cordoned."
        )
    return [racks.place(replication_factor) for _ in range(partitions)]


def _refused(reason: str) -> ApiError:
    return ApiError(ErrorCode.INVALID_REPLICATION_FACTOR, reason)


class _Cycle:
    """Brokers in a circle that turns by one for every partition; each is given once a turn."""

    def __init__(self) -> None:
        self.brokers: list[int] = []
        self.start = 0
        self.given = 0
        self.turn = 0

    def next(self, turn: int) -> int | None:
        """The next broker of this turn, None when all were given."""
        if not self.brokers:
            return None
        if self.turn != turn:
            self.turn = turn
            self.given = 0
            self.start = (self.start + 1) % len(self.brokers)
        if self.given >= len(self.brokers):
            return None
        broker = self.brokers[(self.start + self.given) % len(self.brokers)]
        self.given += 1
        return broker


class _Racks:
    def __init__(self, image: MetadataImage, random: Any) -> None:
        self.random = random
        self.rack_of: dict[str | None, tuple[_Cycle, _Cycle]] = {}
        self.total = self.unfenced = 0
        for broker_id in sorted(image.brokers):
            broker = image.brokers[broker_id]
            if broker.directories and set(broker.directories) <= set(broker.cordoned_directories):
                continue  # none of its directories takes new replicas (KIP-1066)
            unfenced, fenced = self.rack_of.setdefault(broker.rack, (_Cycle(), _Cycle()))
            (fenced if broker.fenced else unfenced).brokers.append(broker_id)
            self.total += 1
            self.unfenced += not broker.fenced
        self.names = sorted(self.rack_of, key=lambda name: (name is not None, name or ""))
        for name in self.names:
            for cycle in self.rack_of[name]:
                if cycle.brokers:
                    cycle.start = random.randrange(len(cycle.brokers))
        self.offset = random.randrange(len(self.names)) if self.names else 0
        self.turn = 0

    def place(self, replication_factor: int) -> list[int]:
        """The replicas of one partition."""
        if self.turn == self.unfenced and self.unfenced > 1:
            self._shuffle()
            self.turn = 0
        self.offset %= len(self.names)
        leader_rack, leader = self._leader()
        replicas = [leader]
        rack = self.offset
        skip: int | None = leader_rack
        while len(replicas) < replication_factor:
            if rack == skip:
                skip = None  # the leader's rack is passed over the first time only
            else:
                unfenced, fenced = self.rack_of[self.names[rack]]
                broker = unfenced.next(self.turn)
                broker = fenced.next(self.turn) if broker is None else broker
                if broker is not None:
                    replicas.append(broker)
            rack = (rack + 1) % len(self.names)
        self.turn += 1
        self.offset += 1
        return replicas

    def _leader(self) -> tuple[int, int]:
        rack = self.offset
        while True:
            broker = self.rack_of[self.names[rack]][0].next(self.turn)
            if broker is not None:
                return rack, broker
            rack = (rack + 1) % len(self.names)

    def _shuffle(self) -> None:
        self.random.shuffle(self.names)
        for name in sorted(self.rack_of, key=lambda name: name or ""):
            for cycle in self.rack_of[name]:
                self.random.shuffle(cycle.brokers)
