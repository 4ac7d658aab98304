"""One member of a group with a Python client: ``python member_python.py CLIENT JSON``.

The JSON argument says what to be, lines of stdin what to do (``sleep SECONDS``, ``close``); the
events are lines of JSON on stdout, see events.py. A program of its own: it imports no test code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

Place = tuple[str, int]


class Member:
    """What all clients share: the events, the commands, and how far each partition has come."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """``spec`` as JSON has it: bootstrap, group, client, topics, instance, assignor, ..."""
        self.spec = spec
        self.next: dict[Place, int] = {}
        self.owned: set[Place] = set()
        self._commands: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._commands.put(line.strip())
        self._commands.put("close")

    def wait(self) -> None:
        """Until told to join, where the spec says so."""
        if self.spec["waits"]:
            self.say("waiting")
            self._commands.get()

    def command(self) -> str | None:
        """The next command, if there is one."""
        try:
            return self._commands.get_nowait()
        except queue.Empty:
            return None

    def say(self, event: str, **fields: object) -> None:
        """One event, now."""
        sys.stdout.write(json.dumps({"t": time.time(), "event": event, **fields}) + "\n")
        sys.stdout.flush()

    def assigned(self, places: Iterable[Place]) -> None:
        """These are this member's now."""
        rows = sorted(places)
        self.owned.update(rows)
        self.say("assigned", partitions=rows)

    def gone(self, event: str, places: Iterable[Place]) -> None:
        """These are no more (``event``: revoked or lost)."""
        rows = sorted(places)
        self.owned.difference_update(rows)
        for place in rows:
            self.next.pop(place, None)
        self.say(event, partitions=rows)

    def take(self, place: Place, offsets: list[int]) -> None:
        """Records in order; what is not owned (any more) is dropped, as an application must."""
        if place not in self.owned:
            return
        self.say(
            "records",
            topic=place[0],
            partition=place[1],
            first=offsets[0],
            last=offsets[-1],
            count=len(offsets),
        )
        self.next[place] = offsets[-1] + 1

    def committed(self, offsets: dict[Place, int]) -> None:
        """The broker has acknowledged these."""
        self.say("committed", offsets=[[t, p, o] for (t, p), o in sorted(offsets.items())])

    def failed(self, error: BaseException) -> None:
        """A commit was refused; the group will tell why."""
        self.say("commit_failed", error=f"{type(error).__name__}: {error}")


class LibrdkafkaMember(Member):
    """confluent-kafka, with the callbacks doing the assignment themselves."""

    def run(self) -> None:
        """Until told to close."""
        from confluent_kafka import Consumer

        self.fatal: str | None = None
        self.pending: dict[Place, list[int]] = {}
        self.incremental = self.spec["assignor"] == "cooperative-sticky"
        if self.spec["protocol"] == "consumer":
            self.incremental = True
        self.wait()
        consumer = Consumer(self._settings())
        topics = [f"^{self.spec['pattern']}"] if self.spec["pattern"] else self.spec["topics"]
        consumer.subscribe(
            topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lost
        )
        self.say("started")
        while (command := self.command()) != "close":
            if command:
                self.say("sleeping")
                time.sleep(float(command.split()[1]))
                self.say("woke")
            self._poll(consumer)
        consumer.close()
        self.say("closed")

    def _settings(self) -> dict[str, Any]:
        spec = self.spec
        settings: dict[str, Any] = {
            "bootstrap.servers": spec["bootstrap"],
            "client.id": spec["client"],
            "group.id": spec["group"],
            "group.protocol": spec["protocol"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 1000,
            "max.poll.interval.ms": spec["max_poll_ms"],
            "error_cb": self._error,
            "log_level": 0,
        }
        if spec["instance"]:
            settings["group.instance.id"] = spec["instance"]
        if spec["protocol"] == "classic":
            settings["session.timeout.ms"] = spec["session_ms"]
            settings["heartbeat.interval.ms"] = spec["heartbeat_ms"]
            settings["partition.assignment.strategy"] = spec["assignor"]
        else:
            settings["group.remote.assignor"] = spec["assignor"]
        return settings

    def _error(self, error: Any) -> None:
        if error.fatal():
            self.fatal = str(error)

    def _poll(self, consumer: Any) -> None:
        deadline = time.monotonic() + 0.2
        for _ in range(100):
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if self.fatal:
                raise RuntimeError(self.fatal)
            if message is None:
                break
            if message.error():
                self.say("fetch_error", error=str(message.error()))
                continue
            place = (message.topic(), message.partition())
            self.pending.setdefault(place, []).append(message.offset())
        self._flush(consumer)

    def _flush(self, consumer: Any) -> None:
        """Process what has been polled, and commit it."""
        from confluent_kafka import KafkaException, TopicPartition

        pending, self.pending = self.pending, {}
        for place, offsets in pending.items():
            self.take(place, offsets)
        offsets = {place: self.next[place] for place in pending if place in self.next}
        if not offsets:
            return
        rows = [TopicPartition(t, p, o) for (t, p), o in offsets.items()]
        try:
            reply = consumer.commit(offsets=rows, asynchronous=False)
            for row in reply:
                if row.error:
                    raise KafkaException(row.error)
        except KafkaException as e:
            self.failed(e)
        else:
            self.committed(offsets)

    def _assign(self, consumer: Any, partitions: list[Any]) -> None:
        self.assigned((p.topic, p.partition) for p in partitions)
        if self.incremental:
            consumer.incremental_assign(partitions)
        else:
            consumer.assign(partitions)

    def _unassign(self, consumer: Any, partitions: list[Any]) -> None:
        if self.incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()

    def _revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self._flush(consumer)
        self.gone("revoked", [(p.topic, p.partition) for p in partitions])
        self._unassign(consumer, partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        self.pending.clear()
        self.gone("lost", [(p.topic, p.partition) for p in partitions])
        self._unassign(consumer, partitions)


class KafkaPythonMember(Member):
    """kafka-python."""

    def run(self) -> None:
        """Until told to close."""
        from kafka import KafkaConsumer
        from kafka.consumer.subscription_state import ConsumerRebalanceListener
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
        from kafka.coordinator.assignors.range import RangePartitionAssignor
        from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
        from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

        member = self

        class Listener(ConsumerRebalanceListener):
            def on_partitions_assigned(self, assigned: Any) -> None:
                member.assigned((p.topic, p.partition) for p in assigned)

            def on_partitions_revoked(self, revoked: Any) -> None:
                member.gone("revoked", [(p.topic, p.partition) for p in revoked])

            def on_partitions_lost(self, lost: Any) -> None:
                member.gone("lost", [(p.topic, p.partition) for p in lost])

        spec = self.spec
        assignors = {
            "range": RangePartitionAssignor,
            "roundrobin": RoundRobinPartitionAssignor,
            "sticky": StickyPartitionAssignor,
            "cooperative-sticky": CooperativeStickyAssignor,
        }
        self.wait()
        consumer = KafkaConsumer(
            bootstrap_servers=spec["bootstrap"],
            client_id=spec["client"],
            group_id=spec["group"],
            group_instance_id=spec["instance"],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[assignors[spec["assignor"]]],
            session_timeout_ms=spec["session_ms"],
            heartbeat_interval_ms=spec["heartbeat_ms"],
            max_poll_interval_ms=spec["max_poll_ms"],
            fetch_max_wait_ms=100,
            metadata_max_age_ms=5000,
        )
        consumer.subscribe(topics=spec["topics"], listener=Listener())
        self.say("started")
        while (command := self.command()) != "close":
            if command:
                self.say("sleeping")
                time.sleep(float(command.split()[1]))
                self.say("woke")
            self._poll(consumer)
        consumer.close()
        self.say("closed")

    def _poll(self, consumer: Any) -> None:
        from kafka import OffsetAndMetadata, TopicPartition
        from kafka.errors import KafkaError

        polled = consumer.poll(timeout_ms=200, max_records=100)
        for tp, messages in polled.items():
            self.take((tp.topic, tp.partition), [m.offset for m in messages])
        places = [(tp.topic, tp.partition) for tp in polled]
        offsets = {place: self.next[place] for place in places if place in self.next}
        if not offsets:
            return
        rows = {TopicPartition(*p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items()}
        try:
            consumer.commit(rows)
        except KafkaError as e:
            self.failed(e)
        else:
            self.committed(offsets)


class AiokafkaMember(Member):
    """aiokafka: it rebalances in the background, so a lock stands around processing."""

    def run(self) -> None:
        """Until told to close."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
        from aiokafka.coordinator.assignors.range import RangePartitionAssignor
        from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
        from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

        member = self
        self.lock = asyncio.Lock()

        class Listener(ConsumerRebalanceListener):
            async def on_partitions_assigned(self, assigned: Any) -> None:
                async with member.lock:
                    member.assigned((p.topic, p.partition) for p in assigned)

            async def on_partitions_revoked(self, revoked: Any) -> None:
                async with member.lock:
                    member.gone("revoked", [(p.topic, p.partition) for p in revoked])

        spec = self.spec
        assignors = {
            "range": RangePartitionAssignor,
            "roundrobin": RoundRobinPartitionAssignor,
            "sticky": StickyPartitionAssignor,
        }
        self.wait()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=spec["bootstrap"],
            client_id=spec["client"],
            group_id=spec["group"],
            group_instance_id=spec["instance"],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[assignors[spec["assignor"]]],
            session_timeout_ms=spec["session_ms"],
            heartbeat_interval_ms=spec["heartbeat_ms"],
            max_poll_interval_ms=spec["max_poll_ms"],
            fetch_max_wait_ms=100,
            metadata_max_age_ms=5000,
        )
        consumer.subscribe(spec["topics"], listener=Listener())
        await consumer.start()
        self.say("started")
        while (command := self.command()) != "close":
            if command:
                self.say("sleeping")
                await asyncio.sleep(float(command.split()[1]))
                self.say("woke")
            polled = await consumer.getmany(timeout_ms=200, max_records=100)
            async with self.lock:
                await self._process(consumer, polled)
        await consumer.stop()
        self.gone("revoked", list(self.owned))
        self.say("closed")

    async def _process(self, consumer: Any, polled: Any) -> None:
        from aiokafka import TopicPartition
        from aiokafka.errors import KafkaError

        for tp, messages in polled.items():
            self.take((tp.topic, tp.partition), [m.offset for m in messages])
        places = [(tp.topic, tp.partition) for tp in polled]
        offsets = {place: self.next[place] for place in places if place in self.next}
        if not offsets:
            return
        try:
            await consumer.commit({TopicPartition(*p): o for p, o in offsets.items()})
        except KafkaError as e:
            self.failed(e)
        else:
            self.committed(offsets)


MEMBERS = {
    "librdkafka": LibrdkafkaMember,
    "kafka-python": KafkaPythonMember,
    "aiokafka": AiokafkaMember,
}


def main() -> int:
    """Exit status 1 after an error event when the client gave up."""
    logging.disable(logging.CRITICAL)
    member = MEMBERS[sys.argv[1]](json.loads(sys.argv[2]))
    try:
        member.run()
    except Exception as e:
        member.say("error", error=f"{type(e).__name__}: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
