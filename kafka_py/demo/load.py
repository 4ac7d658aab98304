"""Write the flights with a real client (librdkafka) and read them back, measuring both."""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

Progress = Callable[[int], None]


@dataclass
class Tally:
    """What one side saw: counts, bytes, seconds.

    And one running digest a key (so order within a key counts).
    """

    records: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    per_partition: dict[int, int] = field(default_factory=dict)
    digests: dict[bytes, "hashlib.blake2b"] = field(default_factory=dict)

    def add(self, key: bytes, value: bytes) -> None:
        """Count one record and fold it into its key's digest."""
        self.records += 1
        self.size_bytes += len(key) + len(value)
        digest = self.digests.get(key)
        if digest is None:
            digest = self.digests[key] = hashlib.blake2b(digest_size=16)
        digest.update(len(value).to_bytes(4, "big") + value)

    def same_as(self, other: "Tally") -> bool:
        """Whether both sides saw the same records of each key, in the same order."""
        mine = {key: digest.digest() for key, digest in self.digests.items()}
        return self.records == other.records and mine == {
            key: digest.digest() for key, digest in other.digests.items()
        }

    @property
    def mb_per_s(self) -> float:
        """Throughput of keys and values, in megabytes (10^6 bytes) a second."""
        return self.size_bytes / self.seconds / 1e6 if self.seconds else 0.0


def percentile_ms(latencies_ns: list[int], quantile: float) -> float:
    """The given quantile (0..1) of the latencies, in milliseconds."""
    ordered = sorted(latencies_ns)
    return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)] / 1e6


def produce(
    bootstrap: str, topic: str, events: Iterable[tuple[bytes, bytes]], progress: Progress
) -> tuple[Tally, list[int]]:
    """Send every event at acks=all (idempotent, lz4); return the tally and the latencies in ns.

    Latency runs from the call of ``produce()`` to the broker's acknowledgement, the client's linger
    included. Raises KafkaException for the first record that the broker refused.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 2,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "queue.buffering.max.messages": 20_000,
            "partitioner": "murmur2_random",
        }
    )
    tally, latencies, failed = Tally(), [], []
    now = time.perf_counter_ns

    def delivered(error: object, message: Message, sent_ns: int) -> None:
        if error is not None:
            failed.append(error)
            return
        latencies.append(now() - sent_ns)
        partition = message.partition()
        tally.per_partition[partition] = tally.per_partition.get(partition, 0) + 1

    began = time.perf_counter()
    for key, value in events:
        sent_ns = now()
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    key,
                    on_delivery=lambda error, message, at=sent_ns: delivered(error, message, at),
                )
                break
            except BufferError:
                # The client's queue is full: let acknowledgements come in, then offer the record
                # again.
                producer.poll(0.01)
        tally.add(key, value)
        if tally.records % 500 == 0:
            producer.poll(0)
            progress(len(latencies))
            if failed:
                break
    producer.flush(60)
    tally.seconds = time.perf_counter() - began
    progress(len(latencies))
    if failed:
        raise KafkaException(failed[0])
    return tally, latencies


def consume(bootstrap: str, topic: str, partitions: int, wanted: int, progress: Progress) -> Tally:
    """Read ``wanted`` records from the beginning of every partition, by assignment.

    Raises KafkaException on the first error the client reports, TimeoutError after 30 s without a
    record.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "demo",
            "enable.auto.commit": False,
            "log_level": 2,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
        }
    )
    consumer.assign([TopicPartition(topic, index, 0) for index in range(partitions)])
    tally, began, quiet_since = Tally(), time.perf_counter(), time.perf_counter()
    try:
        while tally.records < wanted:
            messages = consumer.consume(5_000, timeout=0.2)
            if not messages and time.perf_counter() - quiet_since > 30:
                raise TimeoutError(f"{tally.records} of {wanted} records after 30 s of silence")
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                tally.add(message.key(), message.value())
                partition = message.partition()
                tally.per_partition[partition] = tally.per_partition.get(partition, 0) + 1
            if messages:
                quiet_since = time.perf_counter()
            progress(tally.records)
    finally:
        tally.seconds = time.perf_counter() - began
        consumer.close()
    return tally
