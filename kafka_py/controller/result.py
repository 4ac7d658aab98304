"""What a decision of the controller looks at, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.metadata.features import ELR_VERSION
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import ApiError, ErrorCode
from kcore.values import field, mutable

if TYPE_CHECKING:
    from kafka_py.controller.heartbeats import Heartbeats
    from kafka_py.controller.settings import ControllerSettings

__all__ = ["RECORDS_MAX", "Result", "View", "error_of", "new_uuid"]

#: The most records that one request may lead to, as in Kafka.
RECORDS_MAX = 10_000


@mutable
class Result:
    """`records` to append (none for a read), and the `reply` once they are committed."""

    records: list[Any] = field(default_factory=list)
    reply: Any = None


@mutable
class View:
    """All that a decision may depend on.

    `image` is the controller's own: it has what was appended, committed or not.  Decisions never
    change it.  `next_offset` is the offset that the first record of the result will have.  Soft
    state (`heartbeats`) may be touched.  `now_ms` is monotonic.
    """

    image: MetadataImage
    settings: ControllerSettings
    heartbeats: Heartbeats
    random: Any
    node_id: int
    cluster_id: str
    now_ms: int
    next_offset: int
    api_version: int = 0
    describable: Any = None
    #: What was found out of a topic once is good for all of its partitions.
    _min_isr: dict[str, int] = field(default_factory=dict)
    _unclean: dict[str, bool] = field(default_factory=dict)

    @property
    def elr_enabled(self) -> bool:
        """Whether eligible leader replicas are kept (KIP-966)."""
        return bool(self.image.features.get(ELR_VERSION, 0))

    def min_insync_replicas(self, topic: str) -> int:
        """The topic's min.insync.replicas: its own, the cluster's, or the configured one."""
        if topic not in self._min_isr:
            self._min_isr[topic] = self._find_min_isr(topic)
        return self._min_isr[topic]

    def _find_min_isr(self, topic: str) -> int:
        for configs in (self.image.topic_config(topic), self.image.broker_config(None)):
            text = configs.get("min.insync.replicas")
            if text:
                return int(text)
        return self.settings.min_insync_replicas

    def unclean_election_allowed(self, topic: str) -> bool:
        """unclean.leader.election.enable, by the same order."""
        if topic not in self._unclean:
            self._unclean[topic] = self._find_unclean(topic)
        return self._unclean[topic]

    def _find_unclean(self, topic: str) -> bool:
        name = "unclean.leader.election.enable"
        scopes = (
            self.image.topic_config(topic),
            self.image.broker_config(self.node_id),
            self.image.broker_config(None),
        )
        for configs in scopes:
            text = configs.get(name)
            if text:
                return text.strip().lower() == "true"
        return self.settings.unclean_leader_election


def error_of(error: ApiError) -> tuple[ErrorCode, str | None]:
    """(code, message) for a response; no message where it would only repeat the code's own."""
    return error.code, None if error.message == error.code.message else error.message


def new_uuid(random: Any) -> bytes:
    """A random id as Kafka draws one: version 4, not reserved, its text not beginning with '-'."""
    while True:
        value = bytearray(random.randbytes(16))
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        # The first base64 character stands for the top six bits; '-' is 62.
        if value[0] >> 2 != 62:
            return bytes(value)
