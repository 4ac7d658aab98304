"""Members for whom nothing changes: what their heartbeats are held against, for the compiled path
(`kafka_py.coordinator.offsets.commit_path`). It remembers; the group and its deadlines decide."""

from typing import final

from kafka_py.coordinator.deadlines import Deadline

class GroupState:
    """The numbers of a `ConsumerGroup` that every heartbeat is compared with."""

    epoch: int
    target_epoch: int
    refresh_at_ms: int
    refresh_epoch: int
    classic_count: int
    regex_counts: dict[str, int]

    def member_changed(self, member_id: str) -> None:
        """The member has another value, or is gone: what was remembered of it does not hold."""

@final
class SteadyMember:
    """A member that is stable at its epoch.

    `client_id` and `client_host` are what its records say, `session` its armed deadline,
    `timeout_ms` how long a heartbeat moves that ahead, `interval_ms` what the answer says.
    """

    def __init__(
        self,
        epoch: int,
        client_id: str,
        client_host: str,
        session: Deadline,
        timeout_ms: int,
        interval_ms: int,
    ) -> None: ...
