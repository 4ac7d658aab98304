"""The Python clients. Each is imported when used, so that one that is missing fails alone."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.interop.client import Client, ClientError
from tests.interop.records import Found, Record


class Confluent(Client):
    """librdkafka through confluent-kafka."""

    name = "librdkafka"

    def _settings(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.bootstrap, "log_level": 0}

    @functools.cached_property
    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._settings())

    def _done(self, futures: Mapping[Any, Any]) -> Any:
        try:
            return [future.result(30) for future in futures.values()]
        except Exception as e:
            raise ClientError(f"{self.name}: {e}") from e

    def create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        from confluent_kafka.admin import NewTopic

        new = NewTopic(topic, partitions, replication_factor=1, config=dict(configs))
        self._done(self._admin.create_topics([new], operation_timeout=20))

    def delete(self, topic: str) -> None:
        self._done(self._admin.delete_topics([topic], operation_timeout=20))

    def topics(self) -> list[str]:
        return [t for t in self._admin.list_topics(timeout=20).topics if not t.startswith("__")]

    def _resource(self, topic: str, **more: Any) -> Any:
        from confluent_kafka.admin import ConfigResource, ResourceType

        return ConfigResource(ResourceType.TOPIC, topic, **more)

    def describe(self, topic: str) -> dict[str, str | None]:
        found = self._done(self._admin.describe_configs([self._resource(topic)]))[0]
        return {name: entry.value for name, entry in found.items()}

    def alter(self, topic: str, name: str, value: str) -> None:
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = self._resource(topic, incremental_configs=[entry])
        self._done(self._admin.incremental_alter_configs([resource]))

    def produce(self, topic: str, codec: str, records: Sequence[Record]) -> list[int] | None:
        from confluent_kafka import Producer

        producer = Producer(
            {
                **self._settings(),
                "enable.idempotence": True,
                "compression.type": codec,
                "linger.ms": 20,
                "message.timeout.ms": 30000,
            }
        )
        offsets: dict[int, int] = {}
        errors = []

        def delivered(row: int) -> Any:
            def callback(error: Any, message: Any) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    offsets[row] = message.offset()

            return callback

        for row, r in enumerate(records):
            producer.produce(
                topic,
                value=r.value,
                key=r.key,
                partition=r.partition,
                on_delivery=delivered(row),
                timestamp=r.timestamp,
                headers=list(r.headers),
            )
        producer.flush(40)
        if errors or len(offsets) != len(records):
            raise ClientError(f"{self.name}: {len(offsets)} of {len(records)}: {errors[:3]}")
        return [offsets[row] for row in range(len(records))]

    def consume(self, topics: Mapping[str, int], timestamp: int | None = None) -> list[Found]:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer(
            {
                **self._settings(),
                "group.id": "unused: only assign is called",
                "enable.auto.commit": False,
                "check.crcs": True,
                "fetch.wait.max.ms": 100,
            }
        )
        start = OFFSET_BEGINNING if timestamp is None else timestamp
        parts = [TopicPartition(t, p, start) for t, n in topics.items() for p in range(n)]
        left = {
            (tp.topic, tp.partition): consumer.get_watermark_offsets(tp, timeout=20)[1]
            for tp in parts
        }
        if timestamp is not None:
            parts = consumer.offsets_for_times(parts, timeout=20)
        else:
            parts = [TopicPartition(tp.topic, tp.partition, 0) for tp in parts]
        parts = [tp for tp in parts if 0 <= tp.offset < left[tp.topic, tp.partition]]
        open_ = {(tp.topic, tp.partition) for tp in parts}
        consumer.assign(parts)
        out: list[Found] = []
        deadline = time.monotonic() + 30
        try:
            while open_:
                if time.monotonic() > deadline:
                    raise ClientError(f"{self.name}: no end of {open_}")
                for m in consumer.consume(500, 0.2):
                    if m.error() is not None:
                        raise ClientError(f"{self.name}: {m.error()}")
                    headers = tuple(m.headers() or ())
                    record = Record(m.partition(), m.key(), m.value(), headers, m.timestamp()[1])
                    out.append(Found(m.topic(), m.offset(), record))
                    if m.offset() + 1 == left[m.topic(), m.partition()]:
                        open_.discard((m.topic(), m.partition()))
        finally:
            consumer.close()
        return out


class KafkaPython(Client):
    """kafka-python."""

    name = "kafka-python"
    null_headers = False

    def _admin(self) -> Any:
        from kafka.admin import KafkaAdminClient

        return KafkaAdminClient(bootstrap_servers=self.bootstrap)

    def create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        from kafka.admin import NewTopic

        admin = self._admin()
        try:
            admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=dict(configs))])
        finally:
            admin.close()

    def delete(self, topic: str) -> None:
        admin = self._admin()
        try:
            admin.delete_topics([topic])
        finally:
            admin.close()

    def topics(self) -> list[str]:
        admin = self._admin()
        try:
            return [t for t in admin.list_topics() if not t.startswith("__")]
        finally:
            admin.close()

    def _resource(self, topic: str, configs: Mapping[str, str] | None = None) -> Any:
        from kafka.admin import ConfigResource, ConfigResourceType

        return ConfigResource(ConfigResourceType.TOPIC, topic, configs)

    def describe(self, topic: str) -> dict[str, str | None]:
        admin = self._admin()
        try:
            found = admin.describe_configs([self._resource(topic)], config_filter="all")
            return {name: entry["value"] for name, entry in found["topic"][topic].items()}
        finally:
            admin.close()

    def alter(self, topic: str, name: str, value: str) -> None:
        admin = self._admin()
        try:
            admin.alter_configs([self._resource(topic, {name: value})])
        finally:
            admin.close()

    def produce(self, topic: str, codec: str, records: Sequence[Record]) -> list[int] | None:
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type=None if codec == "none" else codec,
            linger_ms=20,
        )
        try:
            futures = [
                producer.send(topic, r.value, r.key, list(r.headers), r.partition, r.timestamp)
                for r in records
            ]
            producer.flush(30)
            return [f.get(30).offset for f in futures]
        finally:
            producer.close()

    def consume(self, topics: Mapping[str, int], timestamp: int | None = None) -> list[Found]:
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        out: list[Found] = []
        try:
            parts = [TopicPartition(t, p) for t, n in topics.items() for p in range(n)]
            consumer.assign(parts)
            ends = consumer.end_offsets(parts)
            if timestamp is None:
                consumer.seek_to_beginning(*parts)
            else:
                for tp, at in consumer.offsets_for_times(dict.fromkeys(parts, timestamp)).items():
                    consumer.seek(tp, ends[tp] if at is None else at.offset)
            deadline = time.monotonic() + 30
            while any(consumer.position(tp) < ends[tp] for tp in parts):
                if time.monotonic() > deadline:
                    raise ClientError(f"{self.name}: no end within 30 s")
                for messages in consumer.poll(200).values():
                    for m in messages:
                        record = Record(m.partition, m.key, m.value, tuple(m.headers), m.timestamp)
                        out.append(Found(m.topic, m.offset, record))
        finally:
            consumer.close()
        return out


class AioKafka(Client):
    """aiokafka."""

    name = "aiokafka"
    null_headers = False

    def create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        from aiokafka.admin import NewTopic

        new = NewTopic(topic, partitions, 1, topic_configs=dict(configs))
        reply = self._with_admin(lambda admin: admin.create_topics([new]))
        if any(error[1] for error in reply.topic_errors):
            raise ClientError(f"{self.name}: {reply.topic_errors}")

    def delete(self, topic: str) -> None:
        reply = self._with_admin(lambda admin: admin.delete_topics([topic]))
        if any(code for _, code in reply.topic_error_codes):
            raise ClientError(f"{self.name}: {reply.topic_error_codes}")

    def topics(self) -> list[str]:
        found = self._with_admin(lambda admin: admin.list_topics())
        return [t for t in found if not t.startswith("__")]

    def describe(self, topic: str) -> dict[str, str | None]:
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        replies = self._with_admin(lambda admin: admin.describe_configs([resource]))
        code, message, _, _, entries = replies[0].resources[0]
        if code:
            raise ClientError(f"{self.name}: {code} {message}")
        return {entry[0]: entry[1] for entry in entries}

    def alter(self, topic: str, name: str, value: str) -> None:
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})
        replies = self._with_admin(lambda admin: admin.alter_configs([resource]))
        code, message = replies[0].resources[0][:2]
        if code:
            raise ClientError(f"{self.name}: {code} {message}")

    def _with_admin(self, work: Any) -> Any:
        from aiokafka.admin import AIOKafkaAdminClient

        async def run() -> Any:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return await work(admin)
            finally:
                await admin.close()

        return asyncio.run(asyncio.wait_for(run(), 40))

    def produce(self, topic: str, codec: str, records: Sequence[Record]) -> list[int] | None:
        from aiokafka import AIOKafkaProducer

        async def run() -> list[int]:
            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap,
                acks="all",
                enable_idempotence=True,
                compression_type=None if codec == "none" else codec,
                linger_ms=20,
            )
            await producer.start()
            try:
                futures = [
                    await producer.send(
                        topic, r.value, r.key, r.partition, r.timestamp, list(r.headers)
                    )
                    for r in records
                ]
                return [(await future).offset for future in futures]
            finally:
                await producer.stop()

        return asyncio.run(asyncio.wait_for(run(), 40))

    def consume(self, topics: Mapping[str, int], timestamp: int | None = None) -> list[Found]:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        async def run() -> list[Found]:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=100,
            )
            await consumer.start()
            out: list[Found] = []
            try:
                parts = [TopicPartition(t, p) for t, n in topics.items() for p in range(n)]
                ends = await consumer.end_offsets(parts)
                consumer.assign(parts)
                if timestamp is None:
                    await consumer.seek_to_beginning(*parts)
                else:
                    at = await consumer.offsets_for_times(dict.fromkeys(parts, timestamp))
                    for tp, found in at.items():
                        consumer.seek(tp, ends[tp] if found is None else found.offset)
                while any([await consumer.position(tp) < ends[tp] for tp in parts]):
                    for messages in (await consumer.getmany(timeout_ms=200)).values():
                        for m in messages:
                            headers = tuple(m.headers)
                            record = Record(m.partition, m.key, m.value, headers, m.timestamp)
                            out.append(Found(m.topic, m.offset, record))
                return out
            finally:
                await consumer.stop()

        return asyncio.run(asyncio.wait_for(run(), 60))
