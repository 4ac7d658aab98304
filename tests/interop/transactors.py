"""Transactional producers of each language behind one interface: transactions, and copies.

``transact`` runs transactions one after another, ``copy`` consumes a topic in a group, and produces
what it read and the group's offsets in one transaction a poll, until it has read so many records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.interop.drivers import FranzClient


@dataclass(frozen=True)
class Transaction:
    """What is written, and how it ends. ``values`` go to partition 0, 1, 0, 1, ..."""

    values: tuple[str, ...]
    commit: bool


class Transactor:
    """The interface."""

    name: ClassVar[str]

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None."""
        return None

    def transact(
        self, bootstrap: str, transactional_id: str, topic: str, work: Sequence[Transaction]
    ) -> None:
        """Run transactions."""
        raise AssertionError("made through a subclass")

    def copy(self, bootstrap: str, name: str, count: int) -> None:
        """From NAME-in to NAME-out, in the group NAME."""
        raise AssertionError("made through a subclass")


class Librdkafka(Transactor):
    """confluent-kafka."""

    name = "librdkafka"

    def _producer(self, bootstrap: str, transactional_id: str) -> Any:
        from confluent_kafka import Producer

        settings = {"bootstrap.servers": bootstrap, "transactional.id": transactional_id}
        producer = Producer({**settings, "log_level": 0})
        producer.init_transactions(30)
        return producer

    def transact(
        self, bootstrap: str, transactional_id: str, topic: str, work: Sequence[Transaction]
    ) -> None:
        producer = self._producer(bootstrap, transactional_id)
        for one in work:
            producer.begin_transaction()
            for number, value in enumerate(one.values):
                producer.produce(topic, value.encode(), partition=number % 2)
            if one.commit:
                producer.commit_transaction(30)
            else:
                producer.flush(30)
                producer.abort_transaction(30)

    def copy(self, bootstrap: str, name: str, count: int) -> None:
        from confluent_kafka import Consumer

        producer = self._producer(bootstrap, f"{name}-copy")
        settings = {"group.id": name, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        consumer = Consumer(
            {"bootstrap.servers": bootstrap, "isolation.level": "read_committed", **settings}
        )
        consumer.subscribe([f"{name}-in"])
        done = 0
        while done < count:
            records = consumer.consume(20, 1)
            if not records:
                continue
            producer.begin_transaction()
            for record in records:
                assert record.error() is None, record.error()
                producer.produce(f"{name}-out", record.value())
            producer.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 30
            )
            producer.commit_transaction(30)
            done += len(records)
        consumer.close()


class KafkaPython(Transactor):
    """kafka-python."""

    name = "kafka-python"

    def _producer(self, bootstrap: str, transactional_id: str) -> Any:
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=bootstrap, transactional_id=transactional_id, acks="all"
        )
        producer.init_transactions()
        return producer

    def transact(
        self, bootstrap: str, transactional_id: str, topic: str, work: Sequence[Transaction]
    ) -> None:
        producer = self._producer(bootstrap, transactional_id)
        for one in work:
            producer.begin_transaction()
            sent = [
                producer.send(topic, value.encode(), partition=number % 2)
                for number, value in enumerate(one.values)
            ]
            for future in sent:
                future.get(30)
            if one.commit:
                producer.commit_transaction()
            else:
                producer.abort_transaction()
        producer.close()

    def copy(self, bootstrap: str, name: str, count: int) -> None:
        from kafka import KafkaConsumer, OffsetAndMetadata

        producer = self._producer(bootstrap, f"{name}-copy")
        consumer = KafkaConsumer(
            f"{name}-in",
            bootstrap_servers=bootstrap,
            group_id=name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        done = 0
        while done < count:
            found = consumer.poll(1000, max_records=20)
            if not found:
                continue
            producer.begin_transaction()
            offsets = {}
            for partition, records in found.items():
                for record in records:
                    producer.send(f"{name}-out", record.value)
                offsets[partition] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
                done += len(records)
            producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
            producer.commit_transaction()
        consumer.close()
        producer.close()


class Aiokafka(Transactor):
    """aiokafka."""

    name = "aiokafka"

    def transact(
        self, bootstrap: str, transactional_id: str, topic: str, work: Sequence[Transaction]
    ) -> None:
        from aiokafka import AIOKafkaProducer

        async def run() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=bootstrap, transactional_id=transactional_id
            )
            await producer.start()
            for one in work:
                await producer.begin_transaction()
                for number, value in enumerate(one.values):
                    await producer.send_and_wait(topic, value.encode(), partition=number % 2)
                await (producer.commit_transaction if one.commit else producer.abort_transaction)()
            await producer.stop()

        asyncio.run(run())

    def copy(self, bootstrap: str, name: str, count: int) -> None:
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

        async def run() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=bootstrap, transactional_id=f"{name}-copy"
            )
            consumer = AIOKafkaConsumer(
                f"{name}-in",
                bootstrap_servers=bootstrap,
                group_id=name,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
            )
            await producer.start()
            await consumer.start()
            done = 0
            while done < count:
                found = await consumer.getmany(timeout_ms=1000, max_records=20)
                if not found:
                    continue
                async with producer.transaction():
                    offsets = {}
                    for partition, records in found.items():
                        for record in records:
                            await producer.send(f"{name}-out", record.value)
                        offsets[partition] = records[-1].offset + 1
                        done += len(records)
                    await producer.send_offsets_to_transaction(offsets, name)
            await consumer.stop()
            await producer.stop()

        asyncio.run(run())


class FranzGo(Transactor):
    """franz-go, with its GroupTransactSession."""

    name = "franz-go"

    @classmethod
    def missing(cls) -> str | None:
        return FranzClient.missing()

    def transact(
        self, bootstrap: str, transactional_id: str, topic: str, work: Sequence[Transaction]
    ) -> None:
        rows = [{"values": list(one.values), "commit": one.commit} for one in work]
        driver = FranzClient(bootstrap)
        try:
            driver.call("transact", id=transactional_id, topic=topic, work=rows)
        finally:
            driver.close()

    def copy(self, bootstrap: str, name: str, count: int) -> None:
        driver = FranzClient(bootstrap)
        try:
            driver.call("copy", name=name, count=count)
        finally:
            driver.close()


TRANSACTORS: dict[str, type[Transactor]] = {
    kind.name: kind for kind in (Librdkafka, KafkaPython, Aiokafka, FranzGo)
}
