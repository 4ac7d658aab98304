"""Fuzzes the compiled OffsetCommit and heartbeats beside the general path.

    python -m tests.fuzz.groups --seconds 60 [--seed N]

Whatever the bytes are, the compiled path declines them or gives the very reply, and for a commit
the very records, that the general path gives for what the table codec reads there. What the table
refuses it never takes.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from kafka_py.coordinator.offsets.commits import simple_group
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.group_offsets import OffsetCommitRequest
from kafka_py.protocol.groups import ConsumerGroupHeartbeatRequest, HeartbeatRequest
from kafka_py.protocol.records import encode_key, encode_value
from tests.coordinator.offsets.driver import OffsetsDriver, topic_id
from tests.coordinator.offsets.test_commit_path import Compiled
from tests.coordinator.offsets.test_commit_path import general as general_commit
from tests.coordinator.offsets.test_heartbeat_path import classic_member
from tests.coordinator.offsets.test_heartbeat_path import general as general_answer
from tests.fuzz import request

VERSIONS: Final[dict[type, range]] = {
    OffsetCommitRequest: range(2, 11),
    HeartbeatRequest: range(5),
    ConsumerGroupHeartbeatRequest: range(2),
}
CLIENT: Final = "client"
HOST: Final = "/10.0.0.1"


class Finding(AssertionError):
    """Bytes for which an expectation does not hold."""


class Fuzzer:
    """Makes requests about groups that exist, damages them, and plays them on both paths."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.random = random.Random(seed)
        self.mutate = request.Fuzzer(seed).mutate
        self.driver = OffsetsDriver(directory)
        self.compiled = Compiled(self.driver)
        self.compiled.shard = self.driver.shard
        self.compiled.path.modern = True
        simple_group(self.driver.shard, "g")
        self.member_id, self.generation = classic_member(self.driver)
        self.epoch = self.join("m")
        self.tried = self.taken = 0

    def join(self, member_id: str) -> int:
        """A member of the consumer group "k" that has what it asked for; its epoch."""
        epoch, owned = 0, []
        for _ in range(4):
            first = epoch == 0
            asked = ConsumerGroupHeartbeatRequest(
                group_id="k",
                member_id=member_id,
                member_epoch=epoch,
                rebalance_timeout_ms=30_000 if first else -1,
                subscribed_topic_names=["t"] if first else None,
                topic_partitions=owned,
            )
            reply = self.driver.ask(asked, 1)
            assert reply.error_code == 0, reply
            epoch = reply.member_epoch
            if reply.assignment is not None:
                owned = [
                    ConsumerGroupHeartbeatRequest.TopicPartitions(
                        topic_id=row.topic_id, partitions=row.partitions
                    )
                    for row in reply.assignment.topic_partitions
                ]
        return epoch

    def commit(self) -> OffsetCommitRequest:
        """Offsets of topics that exist, by nobody in particular or by a member."""
        part, topic = (
            OffsetCommitRequest.OffsetCommitRequestPartition,
            OffsetCommitRequest.OffsetCommitRequestTopic,
        )
        pick = self.random
        who = pick.choice(
            [
                ("g", "", -1),
                ("c", self.member_id, self.generation),
                ("k", "m", self.epoch),
                ("k", "m", self.epoch - 1),
            ]
        )
        names = {"t": 1, "topic-ü": 2, "u": 3}
        return OffsetCommitRequest(
            group_id=who[0],
            member_id=who[1],
            generation_id_or_member_epoch=who[2],
            topics=[
                topic(
                    name=name,
                    topic_id=topic_id(names[name]),
                    partitions=[
                        part(
                            partition_index=pick.randrange(9),
                            committed_offset=pick.randrange(1 << 40),
                            committed_leader_epoch=pick.choice((-1, 3)),
                            committed_metadata=pick.choice(("", "x", "ä" * 90, None)),
                        )
                        for _ in range(pick.randrange(1, 4))
                    ],
                )
                for name in pick.choices(list(names), k=pick.randrange(1, 3))
            ],
        )

    def message(self, cls: type) -> Any:
        """A request that the compiled path may take."""
        if cls is OffsetCommitRequest:
            return self.commit()
        if cls is HeartbeatRequest:
            return HeartbeatRequest(
                group_id="c", generation_id=self.generation, member_id=self.member_id
            )
        return ConsumerGroupHeartbeatRequest(
            group_id="k", member_id="m", member_epoch=self.epoch, topic_partitions=None
        )

    def once(self) -> None:
        """One input; raises Finding."""
        cls = self.random.choice(list(VERSIONS))
        version = self.random.choice(VERSIONS[cls])
        data = self.message(cls).encode(version)
        if self.random.random() > 0.2:
            data = self.mutate(data)
        self.tried += 1
        try:
            self.taken += self.check(cls, version, data)
        except Finding:
            raise
        except Exception as error:
            raise Finding(f"{cls.__name__} v{version} {data.hex()}: {error!r}") from error

    def check(self, cls: type, version: int, data: bytes) -> bool:
        """Whether the compiled path took the bytes; raises Finding when it should not have, or
        answered otherwise than the general path does."""
        flexible = version >= {OffsetCommitRequest: 8, HeartbeatRequest: 4}.get(cls, 0)
        now_ms = self.driver.now.wall_ms
        if cls is OffsetCommitRequest:
            answer = self.compiled.path.answer(data, version, 77, now_ms)
            frame = None if answer is None else answer[0]
        else:
            client = (CLIENT, HOST) if cls is ConsumerGroupHeartbeatRequest else (None, None)
            frame = self.compiled.path.beat(data, version, 77, now_ms, *client)
        if frame is None:
            return False
        where = f"{cls.__name__} v{version} {data.hex()}"
        try:
            # Bytes behind the request are passed over by both.
            seen, _ = cls.decode_from(data, 0, version)  # type: ignore[attr-defined]
        except MalformedRequest as error:
            raise Finding(f"{where}: taken, and the table says {error}") from error
        records = self.compiled.records()
        self.driver.written.clear()
        if cls is OffsetCommitRequest:
            expected = general_commit(self.driver, seen, version)
        else:
            expected = general_answer(self.driver, seen, version)
        if frame[9 if flexible else 8 :] != expected:
            raise Finding(f"{where}: {frame.hex()} where {expected.hex()} is right")
        wanted = [
            (encode_key(key), encode_value(value, value_version), now_ms)
            for key, value, value_version in self.driver.written
            if value is not None
        ]
        if records != wanted:
            raise Finding(f"{where}: {len(records)} records that are not the general path's")
        return True


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = time.time_ns() if options.seed is None else options.seed
    print(f"groups fuzzer: seed {seed}", flush=True)
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="kafka-py-fuzz-") as directory:
        fuzzer = Fuzzer(seed, Path(directory))
        try:
            while time.monotonic() < until:
                fuzzer.once()
        except Finding as finding:
            print(f"after {fuzzer.tried} inputs: {finding}", file=sys.stderr)
            return 1
    print(f"{fuzzer.tried} inputs, {fuzzer.taken} taken, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
