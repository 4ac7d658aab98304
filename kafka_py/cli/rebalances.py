"""What a group does with our partitions, told on stderr as it happens."""

from __future__ import annotations

from kafka_py.cli.output import runs, tell
from kafka_py.client.group_consumer import RebalanceListener
from kafka_py.client.types import TopicPartition, by_topic


class Teller(RebalanceListener):
    """Tells of every rebalance in a line."""

    def __init__(self, group: str) -> None:
        self.group = group

    async def assigned(self, partitions: set[TopicPartition]) -> None:
        """See `RebalanceListener`."""
        if partitions:
            tell(f"group {self.group}: assigned {shown(partitions)}")
        else:
            tell(f"group {self.group}: joined, no partitions for this member")

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        """See `RebalanceListener`."""
        tell(f"group {self.group}: gave up {shown(partitions)}")

    async def lost(self, partitions: set[TopicPartition]) -> None:
        """See `RebalanceListener`."""
        tell(f"group {self.group}: lost {shown(partitions)}, another member may have it")


def shown(partitions: set[TopicPartition]) -> str:
    """``orders 0-3, payments 1``."""
    return ", ".join(
        f"{topic} {runs(numbers)}" for topic, numbers in by_topic(list(partitions)).items()
    )
