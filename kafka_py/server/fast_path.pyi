"""Types of kafka_py.server.fast_path; what it does is said in fast_path.pyx."""

from collections.abc import Callable, Mapping
from typing import Any

from kafka_py.replication.replica_manager import ReplicaManager
from kafka_py.server.fetch_session import FetchSession, FetchSessions

class FastPath:
    """The compiled Produce and Fetch; one for all connections of a node."""

    wait_for_flush: bool
    now_ms: int
    fetch_bytes_max: int
    off_loop_bytes: int
    inline_bytes_max: int
    inline_us_max: int
    hands_off: int
    @property
    def wanders(self) -> int:
        """Above 0: produces go to many partitions, and what they touch is asked for ahead."""
    permitted: Mapping[bytes, bool] | None
    #: Producer ids whose transactional produces wait for their coordinator: none overtakes them.
    verifying: dict[int, Any]
    #: What has taken the last fetch, while that is not answered.
    session: FetchSession | None
    produced: int
    fetched: int
    def request(self, key: int, version: int, body: bytes | memoryview) -> tuple[int, bytes]:
        """For tests and fuzzers: (outcome, reply) of one Produce (0) or Fetch (1) request body."""
    def __init__(
        self,
        replicas: ReplicaManager,
        *,
        wait_for_flush: bool,
        fetch_bytes_max: int,
        off_loop_bytes: int,
        sessions: FetchSessions | None = None,
        monotonic_ms: Callable[[], int] | None = None,
        inline_bytes_max: int = 0,
        inline_us_max: int = 0,
    ) -> None: ...
