"""Types of kafka_py.server.connection; what it does is said in connection.pyx."""

import asyncio

from kafka_py.coordinator.offsets.commit_path import CommitPath
from kafka_py.server.fast_path import FastPath
from kafka_py.server.flush import Flusher
from kafka_py.server.limits import Limits
from kafka_py.server.node import Listening, Node

class Hub:
    """What the connections of one node share."""

    closing: bool
    commits: CommitPath | None
    connections: set[Connection]
    requests: int
    inflight_bytes: int
    def __init__(
        self,
        node: Node,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        fast: FastPath,
        flusher: Flusher,
    ) -> None: ...
    def begin_here(self) -> None:
        """Answers come, from outside of any connection."""
    def work_off(self) -> None:
        """Serve everyone who has something to send, now."""
    def touch_later(self) -> None:
        """Look at those who wait, soon."""
    def unusual(self, now_s: float, idle_s: float) -> list[Connection]:
        """The connections that `Limits.sweep` has to look at; ``idle_s`` below 0 is for ever."""
    async def drained(self) -> None:
        """Wait until no connection is left."""

class Connection:
    """One client's connection, compiled."""

    host: str
    principal: str
    software_name: str
    software_version: str
    def __init__(self, hub: Hub, listening: Listening) -> None: ...
    def authenticated(self, principal: str) -> None:
        """Whose requests come from now on: ``type:name``."""
    def close(self) -> None:
        """Close now; unsent bytes are dropped."""
    def close_when_idle(self) -> None:
        """Close as soon as what was asked for is answered and sent."""

class ServedConnection(Connection, asyncio.BufferedProtocol):
    """A Connection as asyncio's own loop knows it."""
