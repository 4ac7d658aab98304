from typing import NamedTuple

class ProducerState(NamedTuple):
    """What a partition knows of one producer id: a snapshot's fields and DescribeProducers'."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    last_timestamp_ms: int
    coordinator_epoch: int
    transaction_start_offset: int

def read_snapshot(
    data: bytes | memoryview, where: str = "producer snapshot"
) -> list[ProducerState]:
    """The entries of a .snapshot file in file order; raises CorruptFile."""
