"""One group's life: members come late, leave, are killed and paused, while records come in."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.groups.events import Event, Place, Timing
from tests.interop.groups.processes import Member

#: How often the steady producer writes, and how many records each time.
PRODUCE_EVERY_S = 0.05
PRODUCE_RECORDS = 10
SESSION_MS = 6000
HEARTBEAT_MS = 500
MAX_POLL_MS = 6000
PARTITIONS = 12


@dataclass(frozen=True)
class Kind:
    """A client, a protocol and an assignor; what this client's members are known to do.

    ``tells_lost``: its listener hears of lost partitions. ``leaves_asleep``: it leaves the group by
    itself when it is not polled for max.poll.interval. ``keeps``: of the assignor, that who stays
    keeps what it can.
    """

    client: str
    protocol: str
    assignor: str
    tells_lost: bool = True
    leaves_asleep: bool = True

    @property
    def name(self) -> str:
        """For the test's id."""
        return f"{self.client}-{self.protocol}-{self.assignor}"

    @property
    def keeps(self) -> bool:
        """Whether the assignor moves no more than it must."""
        return self.assignor in ("sticky", "cooperative-sticky", "uniform")

    @property
    def eager(self) -> bool:
        """Whether everything is revoked before each rebalance."""
        return self.protocol == "classic" and self.assignor != "cooperative-sticky"


class Producer:
    """Writes steadily to all partitions of a topic from a thread; knows every record's place."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        """Starts at once."""
        from confluent_kafka import Producer as ConfluentProducer

        self.topic = topic
        self.partitions = partitions
        self.ends: Counter[Place] = Counter()
        self.sums: Counter[Place] = Counter()
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._client = ConfluentProducer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0}
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.errors.append(str(error))
            return
        place = (message.topic(), message.partition())
        self.ends[place] += 1
        self.sums[place] += zlib.crc32(message.value())

    def _run(self) -> None:
        i = 0
        while not self._stop.is_set():
            for _ in range(PRODUCE_RECORDS):
                self._client.produce(
                    self.topic,
                    f"event {i}".encode(),
                    partition=i % self.partitions,
                    on_delivery=self._delivered,
                )
                i += 1
            self._client.poll(0)
            self._stop.wait(PRODUCE_EVERY_S)

    def stop(self) -> None:
        """Everything written is acknowledged and counted afterwards."""
        self._stop.set()
        self._thread.join()
        assert self._client.flush(20) == 0
        assert not self.errors, self.errors[:3]


class Scenario:
    """A topic, a producer, a group's members, and waiting for what they say."""

    def __init__(self, bootstrap: str, kind: Kind, name: str, partitions: int = PARTITIONS) -> None:
        """The topic ``name`` is made; nobody has joined."""
        self.bootstrap = bootstrap
        self.kind = kind
        self.group = f"group-{name}"
        self.topic = name
        self.partitions = partitions
        self.places = {(name, p) for p in range(partitions)}
        self.members: list[Member] = []
        self.state_dir = Path(tempfile.mkdtemp(prefix="kafka-py-interop-state-"))
        self.timing = Timing(SESSION_MS / 1000, HEARTBEAT_MS / 1000, MAX_POLL_MS / 1000)
        create_topic(bootstrap, name, partitions)
        self.producer = Producer(bootstrap, name, partitions)

    def start(self, name: str, **overrides: object) -> Member:
        """One more member; ``overrides`` of its spec."""
        spec = {
            "bootstrap": self.bootstrap,
            "group": self.group,
            "client": name,
            "topics": [self.topic],
            "pattern": None,
            "instance": None,
            "waits": False,
            "protocol": self.kind.protocol,
            "assignor": self.kind.assignor,
            "session_ms": SESSION_MS,
            "heartbeat_ms": HEARTBEAT_MS,
            "max_poll_ms": MAX_POLL_MS,
            "state_dir": str(self.state_dir),
            **overrides,
        }
        member = Member(self.kind.client, spec)
        self.members.append(member)
        return member

    @property
    def events(self) -> list[Event]:
        """Of all members."""
        return [e for m in self.members for e in m.events]

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Until it holds; else an AssertionError with everybody's story."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}\n{self.story()}"
            time.sleep(0.05)

    def story(self) -> str:
        """Everybody's."""
        return "\n".join(m.story() for m in self.members)

    def settle(self, *members: Member, timeout_s: float = 60.0, quiet_s: float = 0.0) -> None:
        """Until these own everything between them, evenly, each partition once.

        With ``quiet_s``, and nobody's assignment has changed for so long: a cooperative group can
        look settled between two rounds, and who falls silent in the second is missed much later.
        """

        def quiet() -> bool:
            moved = [e.t for e in self.events if e.name in ("assigned", "revoked", "lost")]
            return time.time() - max(moved, default=0.0) >= quiet_s

        def settled() -> bool:
            owned = [m.owned for m in members]
            counts = [len(o) for o in owned]
            if sum(counts) != len(self.places) or set().union(*owned) != self.places:
                return False
            return max(counts) - min(counts) <= 1 and quiet()

        names = ", ".join(m.name for m in members)
        self.wait(settled, f"{names} own everything evenly", timeout_s)

    def committed_since_now(self) -> None:
        """Until each partition has been committed once more.

        A member commits what it has just read, and a commit that a rebalance refused is made up for
        by the next one only: the producer must go on until it has come.
        """
        since = time.time()

        def done() -> bool:
            return set(self.producer.ends) <= {
                (topic, partition)
                for event in self.events
                if event.name == "committed" and event.t > since
                for topic, partition, _ in event.data["offsets"]
            }

        self.wait(done, "every partition committed anew")

    def caught_up(self) -> None:
        """Until the committed offsets are the log end offsets; the producer must have stopped."""
        ends = dict(self.producer.ends)

        def missing() -> dict[Any, Any]:
            found = committed_offsets(self.bootstrap, self.group)
            return {
                place: (found.get(place), end)
                for place, end in ends.items()
                if found.get(place) != end
            }

        try:
            self.wait(lambda: not missing(), "everything committed")
        except AssertionError as error:
            raise AssertionError(f"(committed, end) of each: {missing()}\n{error}") from None

    def close(self) -> None:
        """Whatever happened."""
        for member in self.members:
            member.kill()
        self.producer._stop.set()
        shutil.rmtree(self.state_dir, ignore_errors=True)


@contextlib.contextmanager
def scenario(
    bootstrap: str, kind: Kind, name: str, partitions: int = PARTITIONS
) -> Iterator[Scenario]:
    """A scenario that is closed at the end; a failure shows what everybody said."""
    one = Scenario(bootstrap, kind, name, partitions)
    try:
        yield one
    except AssertionError as e:
        if str(e).endswith(one.story()):
            raise
        raise AssertionError(f"{e}\n{one.story()}") from None
    finally:
        one.close()


def create_topic(bootstrap: str, topic: str, partitions: int) -> None:
    """With librdkafka's admin; returns when it can be written to."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    new = NewTopic(topic, partitions, replication_factor=1)
    admin.create_topics([new], operation_timeout=20)[topic].result(30)


def committed_offsets(bootstrap: str, group: str) -> dict[Place, int]:
    """All committed offsets of a group, read by kafka-python."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        found = admin.list_group_offsets({group: None})[group]
        return {(tp.topic, tp.partition): at.offset for tp, at in found.items()}
    finally:
        admin.close()


def kept(before: Sequence[set[Place]], after: Sequence[set[Place]]) -> bool:
    """Whether each has now only what it had before."""
    return all(now <= then for then, now in zip(before, after, strict=True))
