"""What connections may cost: who is let in, what they may hold, when they are closed.

Every number is a named config.

| what is limited | what happens | config |
|---|---|---|
| size of a request | closed | socket.request.max.bytes |
| size of a first ApiVersions or SASL request | closed | kafka_py.first.request.bytes.max |
| connections in all, and on one listener | closed | (listener.name.NAME.)max.connections |
| connections of one address | closed | max.connections.per.ip (.overrides) |
| new connections a second | read later | max.connection.creation.rate |
| idle time | closed | connections.max.idle.ms |
| time until the first whole request | closed | kafka_py.first.request.timeout.ms |
| time of an unfinished frame (+ 1 s a KiB) | closed | kafka_py.frame.timeout.ms |
| requests being answered | not read | kafka_py.connection.inflight.requests.max |
| their bytes, and in all connections | not read | ...inflight.bytes.max, queued.max.request.bytes |
| replies that the peer does not read | not read | kafka_py.connection.unsent.bytes.max |
| time that they do not shrink | closed | kafka_py.slow.reader.timeout.ms |
| such replies in all | largest closed | kafka_py.unsent.bytes.max |
"""

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from kafka_py.clock import Clock
from kafka_py.metrics import Metrics

if TYPE_CHECKING:
    from kafka_py.config.broker import BrokerConfig
    from kafka_py.server.node import Listening

__all__ = ["FRAME_BYTES_A_SECOND_MIN", "Limits"]

log = logging.getLogger("kafka_py.server")

FRAME_BYTES_A_SECOND_MIN: Final = 1024
INFLIGHT_BYTES_TOTAL_MAX: Final = 256 * 1024 * 1024
REFUSED: Final = -1.0


class Limits:
    """The numbers in force and the counts they are held against.

    Dynamic changes come by :meth:`refresh`.
    """

    def __init__(self, config: "BrokerConfig", clock: Clock, metrics: Metrics) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._total = 0
        self._by_listener: Counter[str] = Counter()
        self._by_host: Counter[str] = Counter()
        self._next_accept_ms = 0.0
        self._said_ms: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the configuration again."""
        config = self._config
        self.request_bytes_max: int = config["socket.request.max.bytes"]
        self.first_request_bytes_max: int = config["kafka_py.first.request.bytes.max"]
        self.inflight_bytes_max: int = config["kafka_py.connection.inflight.bytes.max"]
        self.inflight_requests_max: int = config["kafka_py.connection.inflight.requests.max"]
        self.unsent_bytes_max: int = config["kafka_py.connection.unsent.bytes.max"]
        self.unsent_bytes_total_max: int = config["kafka_py.unsent.bytes.max"]
        queued = config["queued.max.request.bytes"]
        self.inflight_bytes_total_max: int = queued if queued > 0 else INFLIGHT_BYTES_TOTAL_MAX
        self.sendfile_bytes_min: int = config["kafka_py.sendfile.bytes.min"]
        self.idle_ms: int = config["connections.max.idle.ms"]
        self.first_request_ms: int = config["kafka_py.first.request.timeout.ms"]
        self.frame_ms: int = config["kafka_py.frame.timeout.ms"]
        self.slow_reader_ms: int = config["kafka_py.slow.reader.timeout.ms"]
        self.connections_max: int = config["max.connections"]
        self.per_host_max: int = config["max.connections.per.ip"]
        self.per_host_overrides: dict[str, int] = config.max_connections_per_ip_overrides
        self.creation_rate: int = config["max.connection.creation.rate"]

    # Coming and going

    def admit(self, connection: Any, listening: "Listening") -> float:
        """Count a new connection; seconds to wait before reading, -1 when it must be closed."""
        host: str = connection.host
        per_host = self.per_host_overrides.get(host, self.per_host_max)
        per_listener = self._config.listener_value(listening.name, "max.connections")
        if self._total >= self.connections_max:
            return self._refuse("max.connections", self.connections_max, host)
        if self._by_listener[listening.name] >= per_listener:
            return self._refuse(f"max.connections of {listening.name}", per_listener, host)
        if self._by_host[host] >= per_host:
            return self._refuse("max.connections.per.ip", per_host, host)
        self._total += 1
        self._by_listener[listening.name] += 1
        self._by_host[host] += 1
        self._metrics.set("connections", self._total)
        return self._delay()

    def _delay(self) -> float:
        """Spread new connections as max.connection.creation.rate asks for."""
        if self.creation_rate >= 2**31 - 1:
            return 0.0
        now_ms = self._clock.monotonic_ms()
        at_ms = max(now_ms, self._next_accept_ms)
        self._next_accept_ms = at_ms + 1000 / max(1, self.creation_rate)
        return (at_ms - now_ms) / 1000

    def _refuse(self, what: str, limit: int, host: str) -> float:
        self._metrics.add("connections.refused")
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._said_ms.get(what, -(10**9)) > 10_000:
            self._said_ms[what] = now_ms
            log.warning("refusing connections, now from %s: %s is %d", host, what, limit)
        return REFUSED

    def leave(self, connection: Any, listening: "Listening") -> None:
        """A counted connection is gone."""
        self._total -= 1
        self._by_listener[listening.name] -= 1
        self._by_host[connection.host] -= 1
        if self._by_host[connection.host] <= 0:
            del self._by_host[connection.host]
        self._metrics.set("connections", self._total)

    @property
    def total(self) -> int:
        """Connections now."""
        return self._total

    # What happens over time

    def sweep(self, connections: Any, now_s: float) -> None:
        """Close who idles, drips, or does not read.

        It is called about once a second with those of the hub's connections that are `unusual`.
        """
        unsent_total = 0
        for connection in connections:
            unsent = connection.unsent_bytes
            unsent_total += unsent
            why = self._overdue(connection, now_s, unsent)
            if why is not None:
                self._close(connection, why)
                unsent_total -= unsent
        while unsent_total > self.unsent_bytes_total_max:
            worst = max(connections, key=lambda c: c.unsent_bytes)
            unsent_total -= worst.unsent_bytes
            self._close(worst, "all waiting replies together are above kafka_py.unsent.bytes.max")

    def _overdue(self, connection: Any, now_s: float, unsent: int) -> str | None:
        if unsent and (now_s - connection.sent_at) * 1000 > self.slow_reader_ms:
            return f"it has not read its replies for {self.slow_reader_ms} ms"
        if connection.frame_at:
            allowed_ms = self.frame_ms + connection.frame_bytes * 1000 / FRAME_BYTES_A_SECOND_MIN
            # What the broker itself holds back, since replies wait, is not the client's fault.
            held_back = connection.waiting_replies or unsent
            if not held_back and (now_s - connection.frame_at) * 1000 > allowed_ms:
                return "a request was begun and not finished in time"
        if not connection.served and (now_s - connection.opened_at) * 1000 > self.first_request_ms:
            return f"no request in its first {self.first_request_ms} ms"
        idle_ms = (now_s - connection.active_at) * 1000
        if 0 <= self.idle_ms < idle_ms and not connection.waiting_replies:
            return f"idle for {self.idle_ms} ms"
        return None

    def _close(self, connection: Any, why: str) -> None:
        self._metrics.add("connections.closed.by.limit")
        log.info("closing the connection from %s: %s", connection.host, why)
        connection.close()
