"""Random schedules of a classic group: clients that come, go, die, pause and lose answers; commits
of the log that lag or fail; coordinators that are replaced in the middle. Everything from one seed.

What holds after every event (`World.check`), and at every answer:

- A SyncGroup's assignment is the one in the last committed record, whose generation it is: so all
  members of a generation have what its one leader gave them.
- An accepted commit of offsets is never behind one that was accepted before.
- The group's parts fit together, and something is always due that will move it on.
- What a coordinator loads from the log is what the last one had made durable.

And at the end, once nothing fails any more, all live clients are in one stable generation
(`World.converge`).
"""

from __future__ import annotations

from random import Random
from typing import Any

from kafka_py.coordinator.classic import ClassicGroup, State
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from kafka_py.protocol.records import decode_value
from kafka_py.protocol.records_group import GroupMetadataValue
from tests.coordinator.classic.driver import Ask, ShardDriver

PARTITIONS = 6
HEARTBEAT_MS = 1_000
SESSIONS_MS = (6_000, 10_000)
REBALANCES_MS = (8_000, 15_000)

#: After these a client asks again, after what it knows.
RETRIED = frozenset(
    {
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.UNKNOWN_SERVER_ERROR,
    }
)

#: After these it ends. Of loaded members only the selected protocol is known, so that one that
#: speaks another may be refused.
FATAL = frozenset(
    {
        ErrorCode.FENCED_INSTANCE_ID,
        ErrorCode.GROUP_MAX_SIZE_REACHED,
        ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    }
)


class Client:
    """A consumer, as far as its coordinator sees it."""

    def __init__(self, world: World, name: str, instance_id: str | None) -> None:
        chance = world.chance
        self.world = world
        self.name = name
        self.instance_id = instance_id
        self.version = 9 if instance_id else chance.choice((2, 3, 4, 7, 9, 9))
        self.session_ms = chance.choice(SESSIONS_MS)
        self.rebalance_ms = chance.choice(REBALANCES_MS)
        self.protocols = chance.choice((["range"], ["range", "sticky"], ["sticky", "range"]))
        self.topics = ["t"]
        self.alive = True
        self.paused_until_ms = 0
        self.member_id = ""
        self.generation = -1
        self.stable = False
        self.members: list[str] | None = None
        self.skips = False
        self.owned: dict[int, int] = {}
        self.pending: Ask | None = None
        self.beat_ms = 0

    # --- what it asks -------------------------------------------------------------------------

    def act(self) -> None:
        """Take an answer if there is one, ask the next thing if there is none to wait for."""
        now_ms = self.world.driver.now.ms
        if not self.alive or now_ms < self.paused_until_ms:
            return
        if self.pending is not None:
            if self.pending.response is None:
                return
            ask, self.pending = self.pending, None
            self.take(ask)
            if not self.alive:
                return
        if self.generation < 0:
            self.join()
        elif not self.stable:
            self.sync()
        elif now_ms >= self.beat_ms + HEARTBEAT_MS:
            self.beat_ms = now_ms
            self.ask(
                HeartbeatRequest(
                    group_id="g",
                    generation_id=self.generation,
                    member_id=self.member_id,
                    group_instance_id=self.instance_id,
                ),
                4,
            )

    def ask(self, request: Any, version: int) -> None:
        self.pending = self.world.ask(self, request, version)

    def join(self) -> None:
        metadata = b"\0\3" + ConsumerProtocolSubscription(topics=self.topics).encode(3)
        self.ask(
            JoinGroupRequest(
                group_id="g",
                session_timeout_ms=self.session_ms,
                rebalance_timeout_ms=self.rebalance_ms,
                member_id=self.member_id,
                group_instance_id=self.instance_id,
                protocol_type="consumer",
                protocols=[
                    JoinGroupRequest.JoinGroupRequestProtocol(name=name, metadata=metadata)
                    for name in self.protocols
                ],
            ),
            self.version,
        )

    def sync(self) -> None:
        shares: dict[str, list[int]] = {}
        if self.members and not self.skips:
            shares = {member_id: [] for member_id in self.members}
            for partition in range(PARTITIONS):
                owner = self.members[
                    (partition + self.world.chance.randrange(9)) % len(self.members)
                ]
                shares[owner].append(partition)
        self.ask(
            SyncGroupRequest(
                group_id="g",
                generation_id=self.generation,
                member_id=self.member_id,
                group_instance_id=self.instance_id,
                assignments=[
                    SyncGroupRequest.SyncGroupRequestAssignment(
                        member_id=member_id,
                        assignment=f"{self.world.unique()}:{share}".encode(),
                    )
                    for member_id, share in shares.items()
                ],
            ),
            4,
        )

    def leave(self) -> None:
        """Close in good order; static members just stop."""
        self.alive = False
        if self.instance_id is None and self.member_id:
            identity = LeaveGroupRequest.MemberIdentity(member_id=self.member_id)
            self.ask(LeaveGroupRequest(group_id="g", members=[identity]), 5)

    def forget(self) -> None:
        """Rejoin, with what is left of the memory."""
        self.generation, self.stable, self.owned = -1, False, {}

    # --- what it is told ----------------------------------------------------------------------

    def take(self, ask: Ask) -> None:
        response, error = ask.response, ErrorCode.of(ask.response.error_code)
        if error is ErrorCode.NONE:
            if isinstance(ask.request, JoinGroupRequest):
                self.member_id, self.generation = response.member_id, response.generation_id
                leads = response.leader == response.member_id
                self.members = [one.member_id for one in response.members] if leads else None
                self.skips = response.skip_assignment
                self.stable = False
            elif isinstance(ask.request, SyncGroupRequest):
                self.stable, self.beat_ms = True, self.world.driver.now.ms
                share = response.assignment.decode().partition(":")[2].strip("[]")
                # It goes on from where the group is.
                self.owned = {
                    int(one): self.world.offsets.get(int(one), 0)
                    for one in share.split(",")
                    if one.strip()
                }
        elif error is ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = response.member_id
        elif error is ErrorCode.UNKNOWN_MEMBER_ID:
            self.member_id = ""
            self.forget()
        elif error in FATAL:
            self.alive = False
        elif error in RETRIED:
            if isinstance(ask.request, SyncGroupRequest):
                self.forget()
        else:
            assert error in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION), error
            self.forget()

    def commit(self) -> None:
        """Commit one more record of a partition that it believes to own."""
        group = self.world.group
        if group is None or not self.owned:
            return
        partition = self.world.chance.choice(sorted(self.owned))
        self.owned[partition] += 1
        error = group.validate_offset_commit(
            self.member_id, self.instance_id, self.generation, transactional=False, api_version=9
        )
        if not error:
            group.committed(self.world.driver.shard, self.member_id, self.world.driver.now)
            before = self.world.offsets.get(partition, 0)
            assert self.owned[partition] > before, f"{self.name} goes back on {partition}"
            self.world.offsets[partition] = self.owned[partition]


class World:
    """A coordinator, its clients, and what may happen to them."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        sizes = {"group.max.size": 3} if self.chance.random() < 0.15 else {}
        self.driver = ShardDriver(**sizes)
        self.driver.on_answer = self.answered
        self.driver.holding = True
        self.clients: list[Client] = []
        self.offsets: dict[int, int] = {}
        self.committed_count = 0
        self.history: list[str] = []
        self._unique = 0

    def unique(self) -> int:
        self._unique += 1
        return self._unique

    @property
    def group(self) -> ClassicGroup | None:
        group = self.driver.shard.groups.get("g")
        assert group is None or isinstance(group, ClassicGroup)
        return group

    # --- events -------------------------------------------------------------------------------

    def ask(self, client: Client, request: Any, version: int) -> Ask | None:
        """A request on its way; None when the coordinator ended with it.

        What the log refuses as too large is refused alone; anything else ends the coordinator.
        """
        failing = self.driver.failing
        ask = self.driver.ask(request, client.name, version)
        if failing is None or self.driver.failing is not None:
            return ask
        if failing is not ErrorCode.MESSAGE_TOO_LARGE:
            self.restart()
            return None
        return ask

    def answered(self, ask: Ask) -> None:
        response = ask.response
        if isinstance(ask.request, SyncGroupRequest) and not response.error_code:
            value = self.last_value(ask.log_end)
            assert value is not None
            assert value.generation == ask.request.generation_id
            given = {one.member_id: bytes(one.assignment) for one in value.members}
            assert response.assignment == given[ask.request.member_id]

    def last_value(self, end: int) -> GroupMetadataValue | None:
        """What the log says of the group up to there."""
        data = self.driver.log[end - 1][1] if end else None
        return None if data is None else decode_value(GroupMetadataValue, data)[0]

    def commit_log(self) -> None:
        self.driver.commit()
        self.committed_count = len(self.driver.log)

    def restart(self) -> None:
        """Another coordinator. What was not committed may be in its log, or not."""
        kept = self.chance.randint(self.committed_count, len(self.driver.log))
        self.driver.restart(keep=kept)
        self.committed_count = kept
        for client in self.clients:
            if client.pending is not None and client.pending.response is None:
                client.pending = None

    def arrive(self) -> None:
        instance = f"i{self.chance.randrange(3)}" if self.chance.random() < 0.4 else None
        self.clients.append(Client(self, f"c{self.unique()}", instance))

    def live(self) -> list[Client]:
        return [client for client in self.clients if client.alive]

    def one(self) -> Client | None:
        live = self.live()
        return self.chance.choice(live) if live else None

    def misbehave(self) -> None:
        """One random thing."""
        dice, client = self.chance.random(), self.one()
        if client is None or (dice < 0.08 and len(self.live()) < 6):
            self.arrive()
        elif dice < 0.50:
            client.act()
        elif dice < 0.66:
            self.pass_time(self.chance.choice((1, 50, 400, 400, 1_000, 3_000)))
        elif dice < 0.78:
            self.commit_log()
        elif dice < 0.82:
            # The answer is lost, or too late: the client asks again.
            client.pending = None
        elif dice < 0.85:
            client.leave()
        elif dice < 0.87:
            client.alive = False
        elif dice < 0.90:
            # It comes back as a new process.
            client.alive = False
            self.clients.append(Client(self, f"c{self.unique()}", client.instance_id))
        elif dice < 0.92:
            client.paused_until_ms = self.driver.now.ms + self.chance.choice((3_000, 12_000))
        elif dice < 0.94:
            client.topics = self.chance.choice((["t"], ["t", "u"], ["u"]))
            client.forget()
        elif dice < 0.97:
            client.commit()
        elif dice < 0.98:
            self.restart()
        else:
            self.fail_next()

    def fail_next(self) -> None:
        group = self.group
        errors = [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.KAFKA_STORAGE_ERROR]
        if group is not None and group.current is State.COMPLETING:
            errors.append(ErrorCode.MESSAGE_TOO_LARGE)
        self.driver.failing = self.chance.choice(errors)
        client = self.one()
        if client is not None:
            client.act()
        # Only for what came of that.
        self.driver.failing = None

    def pass_time(self, duration_ms: int) -> None:
        self.driver.advance(duration_ms)

    # --- what holds ---------------------------------------------------------------------------

    def check(self) -> None:
        """The group's parts fit together; it is durable as far as it says so; it will move on."""
        group, deadlines = self.group, self.driver.shard.deadlines
        if group is None:
            return
        members = group.members
        parked = [one for one in members.values() if one.parked_join is not None]
        assert group.waiting == len(parked)
        assert group.static_members == {
            one.instance_id: member_id
            for member_id, one in members.items()
            if one.instance_id is not None
        }
        assert (group.leader_id in members) == bool(members)
        assert not group.pending_joins & members.keys()
        for member_id, member in members.items():
            assert member.member_id == member_id
            due = ("classic-session", "g", member_id) in deadlines
            assert due or member.is_excused, f"nothing ends the session of {member_id}"
        for member_id in group.pending_joins:
            assert ("classic-session", "g", member_id) in deadlines
        if group.current is State.EMPTY:
            assert not members
        elif group.current is State.PREPARING:
            assert ("classic-join", "g") in deadlines
        elif group.current is State.COMPLETING:
            assert ("classic-sync", "g") in deadlines or not group.pending_syncs
        else:
            assert group.current is State.STABLE
            assert members
            assert all(one.parked_sync is None for one in members.values())
        self.check_durable(group)

    def check_durable(self, group: ClassicGroup) -> None:
        loaded = self.driver.replayed().groups.get("g")
        assert isinstance(loaded, ClassicGroup)
        if self.committed_count != len(self.driver.log):
            return
        assert loaded.generation <= group.generation
        if group.current is State.STABLE:
            assert described(loaded) == described(group)
        elif group.current is State.EMPTY:
            assert loaded.current is State.EMPTY
            assert loaded.generation == group.generation

    def converge(self) -> None:
        """Nothing fails any more: in the end all live clients share a stable generation."""
        for client in self.clients:
            client.paused_until_ms = 0
        for _ in range(60):
            self.settle()
            self.pass_time(1_000)
        self.settle()
        group, live = self.group, self.live()
        assert group is not None
        if live:
            assert group.current is State.STABLE
        assert set(group.members) == {client.member_id for client in live}
        assert {client.generation for client in live} <= {group.generation}
        assert all(client.stable for client in live)
        owned = sorted(one for client in live for one in client.owned)
        assert owned == (list(range(PARTITIONS)) if live else [])
        for client in live:
            client.commit()

    def settle(self) -> None:
        for _ in range(4):
            for client in self.live():
                client.act()
            self.commit_log()
        self.check()


def described(group: ClassicGroup) -> Any:
    """What a record has to say of a group."""
    return (
        group.current,
        group.generation,
        group.protocol_type,
        group.protocol_name,
        group.leader_id,
        {
            one.member_id: (
                one.instance_id,
                one.assignment,
                one.session_timeout_ms,
                one.rebalance_timeout_ms,
                one.metadata(group.protocol_name),
            )
            for one in group.members.values()
        },
    )


def run(seed: int, events: int) -> World:
    """One schedule: random events, then calm."""
    world = World(seed)
    for _ in range(events):
        world.misbehave()
        world.check()
    world.converge()
    return world
