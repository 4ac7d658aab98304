"""A shard without a broker: a log in memory, a clock that is moved by hand, replies that are kept.

`ShardDriver` does what the runtime does with results: encodes their records, applies them where
asked to, gives the replies once they are committed, and calls ``then`` afterwards. It asks the
classic groups' tables only, so that nothing else of a shard stirs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from kafka_py.config.broker import BROKER
from kafka_py.coordinator.classic import APPLIERS, DEADLINES, HANDLERS, LOADED
from kafka_py.coordinator.machine import Caller, Moment, Result
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records import decode_key, decode_value, encode_key, encode_value
from kafka_py.protocol.records_group import GroupMetadataKey, GroupMetadataValue

TYPES = {2: (GroupMetadataKey, GroupMetadataValue)}

#: The broker's defaults; the delay is Kafka's, whatever this broker's own default is.
SETTINGS = {
    **{name: key.default for name, key in BROKER.keys.items()},
    "group.max.size": 1000,
    "group.initial.rebalance.delay.ms": 3_000,
}

#: The wall clock when the monotonic one stands at 0.
WALL_MS = 1_000_000


class Ask:
    """A request and, once it has come, the response to it; the `Reply` of the machine."""

    def __init__(self, request: Any, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.response: Any = None
        #: How far the log went when the machine made the answer.
        self.log_end = 0

    def give(self, response: Any) -> None:
        """Answer, once, with what the wire can carry."""
        assert self.response is None, f"a second answer to {self.request}"
        version = self.caller.api_version
        self.response = type(response).decode(response.encode(version), version)


class ShardDriver:
    """One shard and its log.

    Attributes:
        log: the committed and appended records, as bytes.
        holding: what is appended is not committed until `commit`.
        on_record, on_answer, on_failure: told of every record appended, every answer given, every
            reply that gets the append's error instead.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {**SETTINGS, **settings}
        self.now = Moment(0, WALL_MS)
        self.log: list[tuple[bytes, bytes | None]] = []
        self.holding = False
        self.failing: ErrorCode | None = None
        self.on_record: Callable[[Any, Any, int], None] = lambda key, value, version: None
        self.on_answer: Callable[[Ask], None] = lambda ask: None
        self.on_failure: Callable[[Any, ErrorCode], None] = lambda reply, error: None
        self._held: deque[tuple[Result, int]] = deque()
        self._ids = 0
        self.shard = self._shard()

    def _shard(self) -> GroupShard:
        return GroupShard(0, settings=self.settings, image=MetadataImage(), new_id=self._new_id)

    def _new_id(self) -> str:
        self._ids += 1
        return str(self._ids)

    def ask(self, request: Any, client: str, version: int) -> Ask:
        """Let the shard handle a request; its response may be there already, or come later."""
        ask = Ask(request, Caller(client, "/10.0.0.1", version))
        handler = HANDLERS[type(request)]
        self.take(handler(self.shard, request, ask.caller, self.now, ask))
        return ask

    def take(self, result: Result) -> None:
        """Do what the runtime does with a result."""
        if result.records and self.failing is not None:
            error, self.failing = self.failing, None
            for reply, _ in result.replies:
                self.on_failure(reply, error)
            if result.then is not None:
                self.take(result.then(error, self.now))
            return
        for key, value, version in result.records:
            encoded = None if value is None else encode_value(value, version)
            self.log.append((encode_key(key), encoded))
            self.on_record(key, value, version)
            if result.replay:
                APPLIERS[type(key)](self.shard, key, value)
        self._held.append((result, len(self.log)))
        if not self.holding:
            self.commit()

    def commit(self) -> None:
        """Everything appended is committed."""
        while self._held:
            result, log_end = self._held.popleft()
            self._answer(result, log_end)
            while result.then is not None:
                result = result.then(ErrorCode.NONE, self.now)
                assert not result.records
                self._answer(result, log_end)

    def _answer(self, result: Result, log_end: int) -> None:
        for reply, response in result.replies:
            assert isinstance(reply, Ask)
            reply.log_end = log_end
            reply.give(response)
            self.on_answer(reply)

    def advance(self, duration_ms: int) -> None:
        """Let time pass, with everything that comes due on the way."""
        end_ms = self.now.ms + duration_ms
        while True:
            at_ms = self.shard.next_deadline_ms()
            if at_ms is None or at_ms > end_ms:
                break
            self._move(max(at_ms, self.now.ms))
            key: Any = self.shard.deadlines.take_due(self.now.ms)
            self.take(DEADLINES[key[0]](self.shard, key, self.now))
        self._move(end_ms)

    def _move(self, to_ms: int) -> None:
        self.now = Moment(to_ms, self.now.wall_ms + to_ms - self.now.ms)

    def restart(self, *, keep: int | None = None) -> None:
        """Another coordinator loads the log (its first ``keep`` records); parked replies are lost.

        What was appended and not committed is in the log, but nobody is told of it.
        """
        if keep is not None:
            del self.log[keep:]
        self._held.clear()
        self.shard = self.replayed()
        for result in LOADED(self.shard, self.now):
            self.take(result)

    def replayed(self) -> GroupShard:
        """A shard that has read the log, and armed no timer."""
        shard = self._shard()
        for key_bytes, value_bytes in self.log:
            key = decode_key(key_bytes, TYPES)
            assert isinstance(key, GroupMetadataKey)
            value = (
                None if value_bytes is None else decode_value(GroupMetadataValue, value_bytes)[0]
            )
            APPLIERS[type(key)](shard, key, value)
        return shard
