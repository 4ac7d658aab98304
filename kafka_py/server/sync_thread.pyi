"""Types of kafka_py.server.sync_thread; what it does is said in sync_thread.pyx."""

from typing import Any

from kafka_py.clock import Clock

class Member:
    """A log in a group."""

    key: Any
    log: Any
    durable: int
    took_ns: int

class SyncThread:
    """The thread that makes logs durable, group after group. Raises OSError."""

    event_fd: int
    chained: bool
    gather_percent: int
    gather_ns_max: int
    def __init__(self, clock: Clock) -> None: ...
    @property
    def busy(self) -> bool:
        """Whether something was entered that has not been collected yet."""
    def enter(self, key: object, log: Any) -> int:
        """One more request waits for everything that ``log`` holds now."""
    def kick(self) -> int:
        """Begin with what was entered."""
    def collect(self) -> list[Member]:
        """The members of every group that is done, with how far each is durable now."""
    def work(self) -> None:
        """The thread's life."""
    def close(self) -> None:
        """End the thread when the group under way is done."""
