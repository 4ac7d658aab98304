"""ControllerNode: hosts the raft replica and the controller over a metadata log.

INTERFACE PUBLISHED FIRST; the bodies follow in the next commit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from kafka_py.clock import Clock
from kafka_py.controller.settings import ControllerSettings
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata

__all__ = ["ControllerNode", "RequestSource"]

Listener = Callable[[MetadataImage, ChangedMetadata], None]
Done = Callable[[Any], None]


class RequestSource(Protocol):
    """What the controller wants to know of who asks; the server's RequestContext is one."""

    @property
    def principal(self) -> Any: ...

    @property
    def api_version(self) -> int: ...


class ControllerNode:
    """One controller (and metadata observer).  Not thread-safe: one thread calls everything.

    Life: `ControllerNode(...)` opens the log and replays it, `start()` joins the quorum (a sole
    voter is leader when it returns and `image` holds the bootstrap records), `tick` whenever
    `next_deadline_ms` has come, `close()`.
    """

    def __init__(
        self,
        metadata_dir: str | Path,
        *,
        node_id: int,
        cluster_id: str,
        directory_id: bytes,
        settings: ControllerSettings,
        clock: Clock,
        random: Any,
        incarnation_id: bytes,
        send: Callable[[int, Any], None] | None = None,
        run_blocking: Callable[[Callable[[], Any], Callable[[Any], None]], None] | None = None,
        fatal: Callable[[BaseException], None] | None = None,
    ) -> None:
        """`metadata_dir` is the log directory (it holds `__cluster_metadata-0/`), formatted already
        (`kafka_py.controller.format`).

        `random`: a `random.Random` or its like (election jitter, replica placement).
        `send(voter_id, request)`: hand a raft request to the network (nothing to send with one
        voter); its answer comes back through `deliver(voter_id, response)`.
        `run_blocking(work, then)`: run `work()` off the thread and call `then(result_or_exception)`
        on this thread; None runs it inline (fsync of the metadata log: 0.2 ms on a good disk).
        `fatal(error)`: the metadata directory failed; the process must go down.
        """

    image: MetadataImage
    """Committed metadata, immutable; replaced as records commit."""

    is_leader: bool
    """Whether this node is the active controller, so that `submit` can answer writes."""

    leader_id: int
    """The active controller, -1 while unknown."""

    epoch: int

    def start(self) -> None:
        """Join the quorum."""

    def submit(self, request: Any, source: RequestSource, done: Done) -> None:
        """Handle one request message; `done(response)` is called exactly once, after what it
        changed is committed and `image` shows it, at once or from a later call.

        Takes: CreateTopics, DeleteTopics, CreatePartitions, IncrementalAlterConfigs, AlterConfigs,
        UpdateFeatures, BrokerRegistration, BrokerHeartbeat, UnregisterBroker, AllocateProducerIds,
        AlterPartition, ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments,
        AssignReplicasToDirs, ControllerRegistration, DescribeQuorum; from the controller listener
        also Fetch (of __cluster_metadata), FetchSnapshot, Vote, BeginQuorumEpoch, EndQuorumEpoch.
        A node that does not lead answers NOT_CONTROLLER (raft requests: by the raft rules).
        """

    def deliver(self, voter_id: int, response: Any) -> None:
        """The answer to a request given to `send`; None when the connection failed."""

    def tick(self, now_ms: int | None = None) -> None:
        """Do what is due; `now_ms` is monotonic, by default the clock's."""

    def next_deadline_ms(self) -> int:
        """Monotonic time of the next `tick` that has something to do."""
        return 0

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(image, changed)` now (with `changed.everything`) and after every commit
        that changed something, before the replies of those requests.  Returns the unsubscriber."""
        return lambda: None

    def describe_quorum(self) -> Any:
        """A DescribeQuorumResponse, for metrics and tools."""

    def close(self) -> None:
        """Resign, flush, close the log.  Pending requests are answered NOT_CONTROLLER."""
