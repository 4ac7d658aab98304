"""A shard over a real log in a temporary directory, with a clock that is moved by hand.

`OffsetsDriver` does what the runtime does with results, one batch a result, and can load another
shard from the log with the loader that the broker uses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kafka_py.config.broker import BROKER
from kafka_py.coordinator.loading import replay
from kafka_py.coordinator.machine import Caller, CoordinatorRecord, Moment, Result
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records import encode_key, encode_value
from kcore.batch_builder import CONTROL_ABORT, CONTROL_COMMIT, build, build_control
from kcore.log import COORDINATOR, REPLICA, Log
from kcore.log_config import LogConfig

SETTINGS: dict[str, Any] = {name: key.default for name, key in BROKER.keys.items()}
#: The wall clock when the monotonic one stands at 0.
WALL_MS = 1_700_000_000_000
NO_ID = bytes(16)


def topic_id(number: int) -> bytes:
    """A topic's id that is easy to read."""
    return bytes([*[0] * 15, number])


class Ask:
    """A request and, once it has come, the response to it; the `Reply` of the machine."""

    def __init__(self, request: Any, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.response: Any = None


class OffsetsDriver:
    """One shard and its log; `image` can be replaced by `topics`."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.settings = {**SETTINGS, **settings}
        self.now = Moment(0, WALL_MS)
        self.image = MetadataImage()
        self.ids = 0
        self.directory = directory
        self.log = Log.open(
            str(directory / "__consumer_offsets-0"), LogConfig(), now_ms=WALL_MS, clean=True
        )
        self.written: list[CoordinatorRecord] = []
        self.sequences: defaultdict[int, int] = defaultdict(int)
        self.shard = self.fresh()
        self.take_all(self.shard.loaded(self.now))

    def new_id(self) -> str:
        """Ids that differ."""
        self.ids += 1
        return f"id-{self.ids}"

    def fresh(self) -> GroupShard:
        """A shard that knows nothing."""
        return GroupShard(0, settings=self.settings, image=self.image, new_id=self.new_id)

    def ask(self, request: Any, version: int) -> Any:
        """The response to a request; None while there is none."""
        ask = Ask(request, Caller("client", "/10.0.0.1", version))
        self.take(self.shard.handle(request, ask.caller, self.now, ask))
        return ask.response

    def take(self, result: Result) -> None:
        """Append, apply, answer."""
        options: dict[str, Any] = {}
        if result.producer is not None:
            options = {
                "producer_id": result.producer.producer_id,
                "producer_epoch": result.producer.epoch,
                "base_sequence": 0,
                "transactional": True,
            }
        self.append(result.records, applied=not result.replay, **options)
        for reply, response in result.replies:
            assert reply.response is None
            version = reply.caller.api_version
            reply.response = type(response).decode(response.encode(version), version)
        if result.then is not None:
            self.take(result.then(ErrorCode.NONE, self.now))

    def take_all(self, results: Iterable[Result]) -> None:
        """`take`, for what comes of itself."""
        for result in results:
            self.take(result)

    def append(
        self, records: list[CoordinatorRecord], *, applied: bool = False, **options: Any
    ) -> None:
        """Write one batch and, unless that is done, apply its records."""
        if not records:
            return
        self.written += records
        producer_id = options.get("producer_id", -1)
        rows = [
            (encode_key(key), None if value is None else encode_value(value, version))
            for key, value, version in records
        ]
        self.append_batch(build(rows, **options))
        for key, value, _ in records:
            if applied:
                continue
            if producer_id != -1:
                self.shard.apply_pending(producer_id, key, value)
            else:
                self.shard.apply(key, value)

    def append_batch(self, batch: bytes, origin: int = COORDINATOR) -> None:
        """Write bytes; who applies them is the caller's business."""
        self.log.append(batch, leader_epoch=0, now_ms=self.now.wall_ms, origin=origin)

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        """Write the marker and apply it."""
        marker = build_control(
            CONTROL_COMMIT if committed else CONTROL_ABORT,
            0,
            b"\0" * 6,
            timestamp=self.now.wall_ms,
            base_offset=self.log.log_end_offset,
            producer_id=producer_id,
            producer_epoch=0,
            transactional=True,
            leader_epoch=0,
        )
        self.append_batch(marker, REPLICA)
        self.shard.end_transaction(producer_id, committed)

    def replayed(self) -> GroupShard:
        """A shard that was loaded from the log."""
        shard = self.fresh()
        replay(self.log, shard, self.log.log_end_offset)
        return shard

    def restart(self) -> None:
        """Go on with a shard loaded from the log."""
        self.shard = self.replayed()
        self.take_all(self.shard.loaded(self.now))

    def advance(self, duration_ms: int) -> None:
        """Let time pass, with everything that comes due on the way."""
        end_ms = self.now.ms + duration_ms
        while True:
            at_ms = self.shard.next_deadline_ms()
            if at_ms is None or at_ms > end_ms:
                break
            self._move(max(at_ms, self.now.ms))
            self.take_all(self.shard.expire(self.now))
        self._move(end_ms)

    def _move(self, to_ms: int) -> None:
        self.now = Moment(to_ms, self.now.wall_ms + to_ms - self.now.ms)

    def topics(self, **ids: int) -> None:
        """A new image with these topics (name, number of the id), of eight partitions each."""
        image = MetadataImage()
        for name, number in ids.items():
            image.apply(r.TopicRecord(name=name, topic_id=topic_id(number)))
            for index in range(8):
                image.apply(
                    r.PartitionRecord(
                        topic_id=topic_id(number),
                        partition_id=index,
                        replicas=[1],
                        isr=[1],
                        leader=1,
                        leader_epoch=0,
                        partition_epoch=0,
                    )
                )
        names = {*self.image.topics, *image.topics}
        changed = [
            name
            for name in sorted(names)
            if (old := self.image.topics.get(name)) is None
            or (new := image.topics.get(name)) is None
            or old.id != new.id
        ]
        self.image = image.publish()[0]
        self.take_all(self.shard.metadata_changed(self.image, changed, self.now))
