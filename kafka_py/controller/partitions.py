"""How a partition changes: who leads, who is in the ISR, who is eligible (KIP-966, KIP-455).

`change_partition` is a function of values: a partition, what is wanted of it, and who may lead;
out comes a PartitionChangeRecord, or None when nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from kafka_py.controller.result import View
from kafka_py.metadata.types import (
    DIRECTORY_UNASSIGNED,
    NO_LEADER,
    LeaderRecovery,
    PartitionImage,
)
from kafka_py.protocol import records_metadata as r
from kcore.values import mutable

__all__ = [
    "Election",
    "Target",
    "acceptable_leader",
    "change_partition",
    "complete_reassignment",
    "default_directory",
]

NO_LEADER_CHANGE = -2


class Election(Enum):
    """Whom an election may choose."""

    PREFERRED = "the first replica, if it can"
    ONLINE = "any in-sync or eligible replica, the present leader before all"
    UNCLEAN = "any live replica when there is no better, which may lose records"


@mutable
class Target:
    """What is wanted of a partition; None leaves a field as it is."""

    isr: tuple[int, ...] | None = None
    replicas: tuple[int, ...] | None = None
    removing: tuple[int, ...] | None = None
    adding: tuple[int, ...] | None = None
    recovery: int | None = None
    directories: dict[int, bytes] | None = None
    unclean_shutdown: int | None = None
    election: Election = Election.ONLINE


def acceptable_leader(
    view: View, partition: PartitionImage, *, without: int = -1, plus: int = -1
) -> Callable[[int], bool]:
    """Who may lead: active brokers whose directory of this replica is online.

    `without` may not, whatever the image says; `plus` may (it is about to be unfenced).
    """

    def acceptable(broker_id: int) -> bool:
        broker = view.image.brokers.get(broker_id)
        if broker is None or broker_id == without:
            return False
        if not broker.active and broker_id != plus:
            return False
        if broker_id not in partition.replicas:
            return True
        return bool(broker.has_online_directory(partition.directory(broker_id)))

    return acceptable


def default_directory(view: View, broker_id: int) -> bytes:
    """Where a new replica lies: known when the broker has but one directory (KIP-858)."""
    broker = view.image.brokers.get(broker_id)
    if broker is not None and len(broker.directories) == 1:
        return bytes(broker.directories[0])
    return DIRECTORY_UNASSIGNED


def complete_reassignment(
    replicas: tuple[int, ...],
    isr: tuple[int, ...],
    adding: tuple[int, ...],
    removing: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(replicas, ISR) at the end of a reassignment, when the ISR allows to end it now.

    It does when all added replicas are in the ISR and so is one that stays.
    """
    if not adding and not removing:
        return None
    if any(broker not in isr for broker in adding):
        return None
    final = tuple(broker for broker in replicas if broker not in removing)
    in_sync = tuple(broker for broker in isr if broker not in removing)
    if not final:
        final = replicas
    if not in_sync:
        return None
    return final, in_sync


class _Change:
    """One run of the rules; the steps are in the order in which Kafka takes them."""

    def __init__(
        self,
        view: View,
        topic: str,
        old: PartitionImage,
        target: Target,
        can_lead: Callable[[int], bool],
    ) -> None:
        self.view = view
        self.old = old
        self.election = target.election
        self.can_lead = can_lead
        self.elr_enabled = view.elr_enabled
        self.min_isr = view.min_insync_replicas(topic)
        self.isr = old.isr if target.isr is None else target.isr
        self.replicas = old.replicas if target.replicas is None else target.replicas
        self.removing = old.removing_replicas if target.removing is None else target.removing
        self.adding = old.adding_replicas if target.adding is None else target.adding
        self.recovery = old.leader_recovery_state if target.recovery is None else target.recovery
        self.directories = dict(zip(old.replicas, old.directories, strict=True))
        self.directories.update(target.directories or {})
        self.unclean_shutdown = target.unclean_shutdown
        self.elr = old.elr

    def run(self, topic_id: bytes, index: int) -> r.PartitionChangeRecord | None:
        record = r.PartitionChangeRecord(partition_id=index, topic_id=topic_id)
        completed = complete_reassignment(self.replicas, self.isr, self.adding, self.removing)
        if completed is not None:
            self.replicas, self.isr = completed
            self.adding = self.removing = ()
        self._eligible_replicas()
        self._elect(record)
        if record.leader == NO_LEADER_CHANGE and any(
            broker not in self.replicas for broker in self.old.replicas
        ):
            record.leader = self.old.leader  # a replica leaves: the leader epoch must rise
        self._record_elr(record)
        if record.isr is None and (self.isr or self.elr_enabled) and self.isr != self.old.isr:
            record.isr = list(self.isr)
        self._bump_epoch_on_shrink(record)
        self._record_last_known_leader(record)
        self._record_assignment(record)
        if self.recovery != self.old.leader_recovery_state:
            record.leader_recovery_state = self.recovery
        if record.leader != NO_LEADER_CHANGE or record.isr is not None:
            return record
        empty = r.PartitionChangeRecord(partition_id=index, topic_id=topic_id)
        return None if record == empty else record

    def _eligible_replicas(self) -> None:
        if not self.elr_enabled:
            return
        if len(self.isr) >= self.min_isr:
            self.elr = ()
            return
        candidates = list(dict.fromkeys((*self.elr, *self.old.isr)))
        self.elr = tuple(
            sorted(b for b in candidates if b not in self.isr and b != self.unclean_shutdown)
        )

    def _may_lead(self, broker: int) -> bool:
        eligible = broker in self.isr or (not self.isr and broker in self.elr)
        return eligible and self.can_lead(broker)

    def _winner(self) -> tuple[int, bool]:
        """(new leader, whether the election is unclean)."""
        if self.election is Election.PREFERRED and self._may_lead(self.replicas[0]):
            return self.replicas[0], False
        if self._may_lead(self.old.leader):
            return self.old.leader, False
        for broker in self.replicas:
            if self._may_lead(broker):
                return broker, False
        last = self.old.last_known_elr
        nobody = not self.elr and not self.isr
        if self.elr_enabled and nobody and len(last) == 1 and self.can_lead(last[0]):
            return last[0], True
        if self.election is Election.UNCLEAN:
            for broker in self.replicas:
                if self.can_lead(broker):
                    return broker, True
        return NO_LEADER, False

    def _elect(self, record: r.PartitionChangeRecord) -> None:
        leader, unclean = self._winner()
        if leader == self.old.leader:
            return
        if leader in self.elr:
            self.isr = (leader,)
            self.elr = tuple(broker for broker in self.elr if broker != leader)
        record.leader = leader
        if unclean:
            record.isr = [leader]
            if self.old.leader_recovery_state != LeaderRecovery.RECOVERING:
                record.leader_recovery_state = LeaderRecovery.RECOVERING

    def _record_elr(self, record: r.PartitionChangeRecord) -> None:
        if record.isr is not None or not self.elr_enabled:
            self.elr = ()
        if self.elr != self.old.elr:
            record.eligible_leader_replicas = list(self.elr)

    def _bump_epoch_on_shrink(self, record: r.PartitionChangeRecord) -> None:
        """Brokers before 3.6 needed a new leader epoch when the ISR shrank (KAFKA-15021)."""
        if self.view.image.metadata_version >= 12 or record.isr is None:
            return
        shrinks = any(broker not in record.isr for broker in self.old.isr)
        if shrinks and record.leader == NO_LEADER_CHANGE:
            record.leader = self.old.leader

    def _record_last_known_leader(self, record: r.PartitionChangeRecord) -> None:
        if not self.elr_enabled:
            return
        last = self.old.last_known_elr
        if record.isr is not None and not record.isr and last != (self.old.leader,):
            record.last_known_elr = [self.old.leader]
        elif last and (
            record.leader >= 0 or (self.old.leader != NO_LEADER and record.leader != NO_LEADER)
        ):
            record.last_known_elr = []

    def _record_assignment(self, record: r.PartitionChangeRecord) -> None:
        if self.replicas and self.view.image.metadata_version >= 17:
            directories = tuple(
                self.directories.get(broker) or default_directory(self.view, broker)
                for broker in self.replicas
            )
            if directories != self.old.directories:
                record.directories = list(directories)
        if self.replicas and self.replicas != self.old.replicas:
            record.replicas = list(self.replicas)
        if self.removing != self.old.removing_replicas:
            record.removing_replicas = list(self.removing)
        if self.adding != self.old.adding_replicas:
            record.adding_replicas = list(self.adding)


def change_partition(
    view: View,
    topic: str,
    topic_id: bytes,
    index: int,
    old: PartitionImage,
    target: Target,
    *,
    can_lead: Callable[[int], bool] | None = None,
) -> r.PartitionChangeRecord | None:
    """The record that takes the partition to its target; None when it is there."""
    if can_lead is None:
        can_lead = acceptable_leader(view, old)
    return _Change(view, topic, old, target, can_lead).run(topic_id, index)
