"""A quorum of real RaftReplicas on a pretended network and disk, and its invariants.

Everything comes from one seed.  `RaftSim.step()` runs one event and then checks; a broken
invariant raises AssertionError, whose message names the seed.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

from kafka_py.controller.batches import Batch, encode_batch, parse_batches
from kafka_py.controller.raft import RaftReplica
from kafka_py.controller.raft_messages import only
from kafka_py.controller.raft_states import State
from kafka_py.controller.raft_types import Inbound, Ready, SnapshotId, VoterSet
from kafka_py.controller.settings import ControllerSettings
from kafka_py.testing.raft_log import MemoryLogStore

CLUSTER_ID = "simulated"
NO_DIRECTORY = bytes(16)


def describe(message: Any) -> str:
    """One line for a message: its name and what matters in it."""
    name = type(message).__name__
    partition = only(message)
    if partition is None:
        return f"{name} error={message.error_code}"
    fields = {
        "VoteRequest": ("replica_epoch", "last_offset_epoch", "last_offset", "pre_vote"),
        "VoteResponse": ("leader_epoch", "leader_id", "error_code", "vote_granted"),
        "FetchRequest": ("current_leader_epoch", "fetch_offset", "last_fetched_epoch"),
        "FetchSnapshotRequest": ("current_leader_epoch", "position"),
        "FetchSnapshotResponse": ("error_code", "size", "position"),
    }
    names = fields.get(name, ("leader_epoch", "leader_id", "error_code"))
    shown = [f"{field}={getattr(partition, field)}" for field in names if hasattr(partition, field)]
    if name == "FetchResponse":
        shown = [f"hw={partition.high_watermark}", f"error={partition.error_code}"]
        shown.append(f"bytes={len(partition.records or b'')}")
        if partition.diverging_epoch.epoch >= 0:
            diverging = partition.diverging_epoch
            shown.append(f"diverging=({diverging.epoch}, {diverging.end_offset})")
        if partition.snapshot_id.epoch >= 0:
            snapshot = partition.snapshot_id
            shown.append(f"snapshot=({snapshot.end_offset}, {snapshot.epoch})")
    return f"{name} {' '.join(shown)}"


@dataclass
class Host:
    """One node: a replica over its store, and what is known of its past."""

    id: int
    store: MemoryLogStore
    replica: RaftReplica
    alive: bool = True
    generation: int = 0
    epoch_seen: int = 0
    high_watermark_seen: int = -1
    checked: int = 0
    applied: list[bytes] = field(default_factory=list)


class RaftSim:
    """`voters` replicas and `observers` more. Times are virtual milliseconds."""

    def __init__(
        self,
        seed: int,
        *,
        voters: int = 3,
        observers: int = 0,
        loss: float = 0.0,
        duplicate: float = 0.0,
        delay_ms: tuple[int, int] = (1, 10),
        settings: ControllerSettings | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.now_ms = 0
        self.loss = loss
        self.duplicate = duplicate
        self.delay_ms = delay_ms
        self.blocked: set[tuple[int, int]] = set()
        self.settings = settings or ControllerSettings(fetch_max_bytes=2000)
        self.voter_set = VoterSet(
            dict.fromkeys(range(1, voters + 1), NO_DIRECTORY),
            {node: (f"node-{node}", 9093) for node in range(1, voters + 1)},
        )
        self.leaders: dict[int, int] = {}
        self.committed: list[tuple[int, int, bytes]] = []
        self.acknowledged: list[int] = []
        self.lines: list[str] = []
        self.tracing = False
        self._events: list[tuple[int, int, Any]] = []
        self._sequence = 0
        self.hosts: dict[int, Host] = {}
        for node in range(1, voters + observers + 1):
            self.hosts[node] = self._boot(node, MemoryLogStore(), 0)
        for host in self.hosts.values():
            self._drain(host)
            self._schedule_tick(host)

    # -- the world -------------------------------------------------------------------------------

    def _boot(self, node: int, store: MemoryLogStore, generation: int) -> Host:
        replica = RaftReplica(
            node_id=node,
            directory_id=NO_DIRECTORY,
            cluster_id=CLUSTER_ID,
            voters=self.voter_set,
            log=store,
            quorum_state=store.read_quorum_state(),
            settings=self.settings,
            random=random.Random(self.random.randrange(1 << 30)),
            epoch_start=self._epoch_start,
            endpoints={"CONTROLLER": (f"node-{node}", 9093)},
        )
        host = Host(node, store, replica, generation=generation)
        host.epoch_seen = store.read_quorum_state().epoch
        host.high_watermark_seen = replica.high_watermark
        host.checked = store.start_offset
        replica.start(self.now_ms)
        return host

    def _epoch_start(
        self, base_offset: int, epoch: int, leader: int, granting: Any, voters: VoterSet
    ) -> Batch:
        return encode_batch(
            [b"leader %d" % leader],
            base_offset=base_offset,
            epoch=epoch,
            timestamp_ms=self.now_ms,
            control_types=[2],
        )

    def at(self, delay_ms: int, event: Any) -> None:
        """Run `event()` after that long."""
        self._sequence += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._sequence, event))

    def step(self) -> bool:
        """Run the next event and check; False when there is none."""
        if not self._events:
            return False
        when, _, event = heapq.heappop(self._events)
        self.now_ms = max(self.now_ms, when)
        event()
        self.check()
        return True

    def run(self, duration_ms: int, events_max: int = 100_000) -> None:
        """Run events for that much virtual time."""
        end = self.now_ms + duration_ms
        for _ in range(events_max):
            if not self._events or self._events[0][0] > end:
                break
            self.step()
        self.now_ms = max(self.now_ms, end)

    def _schedule_tick(self, host: Host) -> None:
        generation = host.generation
        wait = max(1, host.replica.next_deadline_ms() - self.now_ms)

        def tick() -> None:
            if host.alive and host.generation == generation and self.hosts[host.id] is host:
                host.replica.tick(self.now_ms)
                self._drain(host)
                self._schedule_tick(host)

        self.at(min(wait, 100), tick)

    def expire(self, node: int) -> None:
        """Let the node's timer end now."""
        host = self.hosts[node]
        host.replica.tick(max(self.now_ms, host.replica._deadline_ms))
        self._drain(host)

    def drain(self, host: Host) -> None:
        """Do what the replica asks for, after a call from outside."""
        self._drain(host)

    def _note(self, source: int, target: int, message: Any) -> None:
        if self.tracing:
            self.lines.append(f"{self.now_ms:>5} {source}->{target} {describe(message)}")

    # -- network ---------------------------------------------------------------------------------

    def _send(self, source: int, target: int, deliver: Any) -> None:
        copies = 1
        if (source, target) in self.blocked or self.random.random() < self.loss:
            copies = 0
        elif self.random.random() < self.duplicate:
            copies = 2
        for _ in range(copies):
            self.at(self.random.randint(*self.delay_ms), deliver)

    def _send_request(self, source: int, target: int, message: Any, request_id: int) -> None:
        generation = self.hosts[source].generation
        # What travels is bytes: nobody shares objects with a peer.
        version = type(message).VERSIONS[1]
        data = message.encode(version)
        self._note(source, target, message)

        def deliver() -> None:
            host = self.hosts[target]
            if host.alive:
                token = (source, target, generation, request_id, type(message))
                request = type(message).decode(data, version)
                host.replica.step(Inbound(request, token), self.now_ms)
                self._drain(host)

        self._send(source, target, deliver)

    def _send_reply(self, token: Any, message: Any) -> None:
        source, target, generation, request_id, _ = token
        version = type(message).VERSIONS[1]
        data = message.encode(version)
        self._note(target, source, message)

        def deliver() -> None:
            host = self.hosts[source]
            if host.alive and host.generation == generation:
                response = type(message).decode(data, version)
                inbound = Inbound(response, None, target, request_id)
                host.replica.step(inbound, self.now_ms)
                self._drain(host)

        self._send(target, source, deliver)

    # -- the duties of the host, in the order of Ready ---------------------------------------------

    def _drain(self, host: Host) -> None:
        while True:
            ready = host.replica.ready()
            if ready == Ready():
                return
            if ready.quorum_state is not None:
                host.store.write_quorum_state(ready.quorum_state, self.voter_set)
            for chunk in ready.snapshot_chunks:
                host.store.write_snapshot_chunk(chunk)
                if chunk.last:
                    self._installed(host, chunk.id)
            if ready.truncate_to is not None:
                assert ready.truncate_to >= host.replica.high_watermark, "committed data truncated"
                host.store.truncate_to(ready.truncate_to)
            host.store.append(ready.append)
            if ready.flush:
                host.store.flush()
            for request in ready.requests:
                self._send_request(host.id, request.to, request.message, request.id)
            for reply in ready.replies:
                self._send_reply(reply.token, reply.message)
            if host.replica.state is State.LEADER and ready.append:
                host.replica.appended(self.now_ms)
                self._schedule_flush(host)
            if ready.append or ready.truncate_to is not None or ready.snapshot_chunks:
                host.replica.fetched(self.now_ms)

    def _schedule_flush(self, host: Host) -> None:
        generation = host.generation

        def flush() -> None:
            if host.alive and host.generation == generation:
                host.replica.flushed(host.store.flush(), self.now_ms)
                self._drain(host)

        self.at(self.random.randint(0, 5), flush)

    def _installed(self, host: Host, snapshot: SnapshotId) -> None:
        content = host.store.read_snapshot_file(snapshot)
        assert content == self.snapshot_content(snapshot.offset), "a snapshot differs"
        host.checked = max(host.checked, snapshot.offset)

    def snapshot_content(self, offset: int) -> bytes:
        """What a snapshot of everything below `offset` holds."""
        return b"".join(b"%d/%d;" % (o, e) for o, e, _ in self.committed[:offset])

    # -- what the tests do -----------------------------------------------------------------------

    def leader(self) -> Host | None:
        """The live leader of the highest epoch."""
        leading = [h for h in self.hosts.values() if h.alive and h.replica.state is State.LEADER]
        return max(leading, key=lambda h: h.replica.epoch, default=None)

    def propose(self, value: bytes) -> int | None:
        """Append one record through the leader; its offset, None without a leader."""
        host = self.leader()
        if host is None:
            return None
        base = host.replica.next_offset
        batch = encode_batch(
            [value], base_offset=base, epoch=host.replica.epoch, timestamp_ms=self.now_ms
        )
        host.replica.propose([batch])
        self._drain(host)
        return base

    def crash(self, node: int) -> None:
        """Power off: what was not flushed is gone."""
        self.hosts[node].alive = False

    def restart(self, node: int) -> None:
        """Power on again."""
        old = self.hosts[node]
        host = self._boot(node, old.store.crash(), old.generation + 1)
        self.hosts[node] = host
        self._drain(host)
        self._schedule_tick(host)

    def snapshot(self, node: int) -> None:
        """Make a snapshot at the node's high watermark and drop the log below the one before."""
        host = self.hosts[node]
        offset = host.replica.high_watermark
        if not host.alive or offset <= host.store.start_offset:
            return
        epoch = self.committed[offset - 1][1]
        host.store.write_snapshot(SnapshotId(offset, epoch), [self.snapshot_content(offset)])
        host.store.clean(0, 0, self.now_ms)

    def partition(self, group: set[int]) -> None:
        """Cut the links between `group` and the rest, both ways."""
        for a in self.hosts:
            for b in self.hosts:
                if (a in group) != (b in group):
                    self.blocked.add((a, b))

    def heal(self) -> None:
        """Mend all links."""
        self.blocked.clear()

    # -- invariants --------------------------------------------------------------------------------

    def check(self) -> None:
        """Kafka's raft invariants and ours; after every event."""
        for host in self.hosts.values():
            if not host.alive:
                continue
            replica = host.replica
            assert replica.epoch >= host.epoch_seen, f"seed {self.seed}: an epoch went back"
            host.epoch_seen = replica.epoch
            assert replica.high_watermark >= host.high_watermark_seen, (
                f"seed {self.seed}: a high watermark went back"
            )
            host.high_watermark_seen = replica.high_watermark
            assert replica.high_watermark <= host.store.end_offset, f"seed {self.seed}: HW > end"
            if replica.state is State.LEADER:
                known = self.leaders.setdefault(replica.epoch, host.id)
                assert known == host.id, f"seed {self.seed}: two leaders in epoch {replica.epoch}"
                assert replica.is_voter
            self._check_committed(host)

    def _check_committed(self, host: Host) -> None:
        """What is below a high watermark is the same everywhere and for ever."""
        end = host.replica.high_watermark
        if end <= host.checked:
            return
        new = end > len(self.committed)
        start = max(host.checked, host.store.start_offset)
        offset = start
        while offset < end:
            for batch in parse_batches(host.store.read(offset, 1 << 20)):
                entry = (batch.base_offset, batch.epoch, batch.data)
                if batch.base_offset >= end:
                    break
                if batch.base_offset < len(self.committed):
                    assert self.committed[batch.base_offset] == entry, (
                        f"seed {self.seed}: offset {batch.base_offset} was committed differently"
                    )
                else:
                    assert batch.base_offset == len(self.committed)
                    self.committed.append(entry)
                offset = batch.next_offset
        host.checked = end
        if new:
            holders = sum(
                1
                for node in self.voter_set.voters
                if self.hosts[node].store._flushed >= end
                and (
                    self.hosts[node].store.end_offset >= end
                    and self._holds(self.hosts[node], end - 1)
                )
            )
            assert holders >= self.voter_set.majority, (
                f"seed {self.seed}: offset {end} committed by {holders} voters"
            )

    def _holds(self, host: Host, offset: int) -> bool:
        if offset < host.store.start_offset:
            return True
        batch = next(iter(parse_batches(host.store.read(offset, 1))))
        return (batch.base_offset, batch.epoch, batch.data) == self.committed[batch.base_offset]

    def check_converged(self) -> None:
        """All live logs are equal and all of them is committed."""
        leader = self.leader()
        assert leader is not None, f"seed {self.seed}: no leader after the faults ended"
        for host in self.hosts.values():
            if host.alive:
                assert host.store.end_offset == leader.store.end_offset, f"seed {self.seed}: lag"
                assert host.replica.high_watermark == leader.store.end_offset, (
                    f"seed {self.seed}: node {host.id} has high watermark "
                    f"{host.replica.high_watermark} of {leader.store.end_offset}"
                )
