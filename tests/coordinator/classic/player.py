"""Plays the commands of a transcript on one classic group named ``g``, and writes what happens.

    join NAME [member=ID] [instance=ID] [version=9] [protocols=range,roundrobin] [topics=t,u]
              [type=consumer] [session=10000] [rebalance=60000] [metadata=TEXT] [reason=TEXT]
    sync NAME [give=NAME:TEXT,...] [generation=N] [member=ID] [version=5] [protocol=NAME] [type=T]
    heartbeat NAME [generation=N] [member=ID] [instance=ID]
    leave NAME... [version=5] [members=ID,...] [instances=ID,...]
    commit NAME [generation=N] [member=ID] [instance=ID] [version=9] [transactional=1]
    wait MS            let that much time pass
    set KEY VALUE      a setting of the broker
    hold, release      appended records are not committed meanwhile
    fail ERROR         the next append fails
    restart            another coordinator loads the log
    load VERSION ...   start from a GroupMetadata record in that version of its schema
    describe [version] as DescribeGroups does
    judge              whether the group and its offsets may go, what is subscribed, and so on
    delete             the group's tombstones are appended

A client NAME remembers the member id, generation and protocol that it was told, and what it said in
its last JoinGroup.
"""

from __future__ import annotations

from typing import Any

from kafka_py.coordinator.classic import ClassicGroup, describe
from kafka_py.coordinator.machine import CoordinatorRecord, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from kafka_py.protocol.records_group import GroupMetadataKey, GroupMetadataValue
from tests.coordinator.classic.driver import WALL_MS, Ask, ShardDriver


class Client:
    """What a client remembers."""

    def __init__(self) -> None:
        self.member_id = ""
        self.instance_id: str | None = None
        self.generation = -1
        self.protocol: str | None = None
        self.protocol_type: str | None = None
        self.join: dict[str, str] = {}


def subscription(topics: list[str]) -> bytes:
    """A consumer's metadata under any of its protocols."""
    return b"\0\3" + ConsumerProtocolSubscription(topics=topics).encode(3)


class Player:
    """Plays one script."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.lines: list[str] = []
        self.shown = ""
        self.has_failed = False
        self.driver = ShardDriver()
        self.driver.on_record = self.record
        self.driver.on_answer = self.answered
        self.driver.on_failure = self.failed

    def play(self, command: str) -> str:
        """What comes of one command."""
        verb, *words = command.split()
        self.lines.clear()
        named = dict(word.split("=", 1) for word in words if "=" in word)
        getattr(self, f"do_{verb}")(*[word for word in words if "=" not in word], **named)
        state = self.state()
        if state != self.shown:
            self.lines.append(state)
            self.shown = state
        return "\n".join(self.lines)

    # --- commands -----------------------------------------------------------------------------

    def do_join(self, name: str, **says: str) -> None:
        client = self.clients.setdefault(name, Client())
        if "instance" in says:
            client.instance_id = says["instance"]
        client.join = says = {**client.join, **says}
        metadata = says.get("metadata")
        encoded = (
            metadata.encode()
            if metadata is not None
            else subscription(says.get("topics", "t").split(","))
        )
        request = JoinGroupRequest(
            group_id="g",
            session_timeout_ms=int(says.get("session", "10000")),
            rebalance_timeout_ms=int(says.get("rebalance", "60000")),
            member_id=says.pop("member", client.member_id),
            group_instance_id=client.instance_id,
            protocol_type=says.get("type", "consumer"),
            protocols=[
                JoinGroupRequest.JoinGroupRequestProtocol(name=protocol, metadata=encoded)
                for protocol in says.get("protocols", "range").split(",")
                if protocol
            ],
            reason=says.get("reason"),
        )
        self.ask(name, request, int(says.get("version", "9")))

    def do_sync(self, name: str, **says: str) -> None:
        client = self.clients[name]
        given = [one.split(":", 1) for one in says.get("give", "").split(",") if one]
        request = SyncGroupRequest(
            group_id="g",
            generation_id=int(says.get("generation", client.generation)),
            member_id=says.get("member", client.member_id),
            group_instance_id=client.instance_id,
            protocol_type=says.get("type", client.protocol_type),
            protocol_name=says.get("protocol", client.protocol),
            assignments=[
                SyncGroupRequest.SyncGroupRequestAssignment(
                    member_id=self.clients[whose].member_id, assignment=what.encode()
                )
                for whose, what in given
            ],
        )
        version = 5 if client.protocol_type is not None else 4
        self.ask(name, request, int(says.get("version", version)))

    def do_heartbeat(self, name: str, **says: str) -> None:
        client = self.clients[name]
        request = HeartbeatRequest(
            group_id="g",
            generation_id=int(says.get("generation", client.generation)),
            member_id=says.get("member", client.member_id),
            group_instance_id=says.get("instance", client.instance_id),
        )
        self.ask(name, request, 4)

    def do_leave(
        self, *names: str, version: str = "5", members: str = "", instances: str = ""
    ) -> None:
        identity = LeaveGroupRequest.MemberIdentity
        leaving = [
            identity(
                member_id=self.clients[name].member_id,
                group_instance_id=self.clients[name].instance_id,
                reason="done",
            )
            for name in names
        ]
        leaving += [identity(member_id=one) for one in members.split(",") if one]
        leaving += [identity(group_instance_id=one) for one in instances.split(",") if one]
        request = LeaveGroupRequest(group_id="g", members=leaving)
        if int(version) < 3:
            request = LeaveGroupRequest(group_id="g", member_id=leaving[0].member_id)
        self.ask(names[0] if names else "admin", request, int(version))

    def do_commit(self, name: str, **says: str) -> None:
        client = self.clients.setdefault(name, Client())
        member_id = says.get("member", client.member_id)
        error = self.group.validate_offset_commit(
            member_id,
            says.get("instance", client.instance_id),
            int(says.get("generation", client.generation)),
            transactional="transactional" in says,
            api_version=int(says.get("version", "9")),
        )
        if not error:
            self.group.committed(self.driver.shard, member_id, self.driver.now)
        self.lines.append(f"{name}: may commit: {error.name}")

    def do_wait(self, duration_ms: str) -> None:
        self.driver.advance(int(duration_ms))

    def do_set(self, key: str, value: str) -> None:
        self.driver.settings[key] = int(value)

    def do_hold(self) -> None:
        self.driver.holding = True

    def do_release(self) -> None:
        self.driver.holding = False
        self.driver.commit()

    def do_fail(self, error: str) -> None:
        self.driver.failing = ErrorCode[error]

    def do_restart(self) -> None:
        self.driver.restart()

    def do_delete(self) -> None:
        self.driver.take(Result(self.group.tombstones()))

    def do_load(self, version: str, **says: str) -> None:
        names = [name for name in says.get("members", "").split(",") if name]
        value = GroupMetadataValue(
            protocol_type=says.get("type", "consumer"),
            generation=int(says.get("generation", "3")),
            protocol=says.get("protocol"),
            leader=says.get("leader"),
            current_state_timestamp=int(says.get("at", "-1")),
            members=[
                GroupMetadataValue.MemberMetadata(
                    member_id=name,
                    client_id=name,
                    client_host="/10.0.0.1",
                    session_timeout=10_000,
                    subscription=subscription(["t"]),
                    assignment=f"of {name}".encode(),
                )
                for name in names
            ],
        )
        for name in names:
            client = self.clients.setdefault(name, Client())
            client.member_id, client.generation = name, value.generation
            client.protocol, client.protocol_type = value.protocol, value.protocol_type
        record = CoordinatorRecord(GroupMetadataKey(group="g"), value, int(version))
        self.driver.take(Result([record], replay=False))
        self.driver.restart()

    def do_describe(self, version: str = "6") -> None:
        described = describe(self.driver.shard, "g", int(version))
        error = ErrorCode.of(described.error_code)
        self.lines.append(
            f"described: {error.name}"
            + (f" ({described.error_message})" if described.error_message else "")
            + f" {described.group_state} {described.protocol_type}/{described.protocol_data}"
        )
        self.lines += [
            f"  {one.member_id} instance={one.group_instance_id} client={one.client_id}"
            f"@{one.client_host} metadata={len(one.member_metadata)} bytes"
            f" assignment={one.member_assignment.decode()!r}"
            for one in described.members
        ]

    def do_judge(self) -> None:
        group = self.group
        since = group.offsets_expire_from_ms(5)
        expire = since if since in (None, 5) else self.at(since)
        self.lines += [
            f"delete: {group.validate_delete().name}",
            f"delete offsets: {group.validate_offset_delete().name}",
            f"fetch offsets: {group.validate_offset_fetch(None, -1).name}",
            f"subscribed to t: {group.is_subscribed('t')}, to u: {group.is_subscribed('u')}",
            f"offsets committed at 5 expire from: {expire}",
            f"simple: {group.is_simple}, empty: {group.is_empty}",
        ]

    # --- what is seen -------------------------------------------------------------------------

    @property
    def group(self) -> ClassicGroup:
        """The group; KeyError when there is none."""
        group = self.driver.shard.groups["g"]
        assert isinstance(group, ClassicGroup)
        return group

    def ask(self, name: str, request: Any, version: int) -> None:
        before, self.has_failed = len(self.lines), False
        ask = self.driver.ask(request, name, version)
        if ask.response is None and not self.has_failed:
            api = type(request).__name__.removesuffix("Request")
            self.lines.insert(before, f"{name}: {api} waits")

    def failed(self, ask: Ask, error: ErrorCode) -> None:
        self.has_failed = True
        api = type(ask.request).__name__.removesuffix("Request")
        self.lines.append(f"{ask.caller.client_id}: {api} fails, {error.name}")

    @staticmethod
    def at(wall_ms: int) -> str:
        return "never said" if wall_ms == -1 else f"{wall_ms - WALL_MS} ms"

    def record(self, key: Any, value: Any, version: int) -> None:
        if value is None:
            self.lines.append(f"record: {key.group} is deleted")
            return
        members = ", ".join(f"{one.member_id}={one.assignment.decode()!r}" for one in value.members)
        self.lines.append(
            f"record v{version}: {value.protocol_type!r}/{value.protocol}"
            f" generation {value.generation} leader {value.leader}"
            f" since {self.at(value.current_state_timestamp)} [{members}]"
        )

    def answered(self, ask: Ask) -> None:
        name, response = ask.caller.client_id, ask.response
        api = type(response).__name__.removesuffix("Response")
        error = ErrorCode.of(response.error_code).name
        detail = getattr(self, f"say_{api}")(response, self.clients.get(name))
        self.lines.append(f"{name}: {api} {error}{detail}")

    def say_JoinGroup(self, response: JoinGroupResponse, client: Client) -> str:
        if response.error_code in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
            client.member_id = response.member_id
        if response.error_code == ErrorCode.UNKNOWN_MEMBER_ID:
            client.member_id = ""
        if response.error_code:
            return f" member={response.member_id!r}"
        client.generation = response.generation_id
        client.protocol, client.protocol_type = response.protocol_name, response.protocol_type
        members = ", ".join(
            one.member_id + (f" ({one.group_instance_id})" if one.group_instance_id else "")
            for one in response.members
        )
        return (
            f" member={response.member_id} generation={response.generation_id}"
            f" {response.protocol_type}/{response.protocol_name} leader={response.leader}"
            + (f" members=[{members}]" if members else "")
            + (" assigned already" if response.skip_assignment else "")
        )

    def say_SyncGroup(self, response: Any, client: Client) -> str:
        if response.error_code:
            return ""
        said = response.assignment.decode()
        return f" {response.protocol_type}/{response.protocol_name} {said!r}"

    def say_Heartbeat(self, response: Any, client: Client) -> str:
        return ""

    def say_LeaveGroup(self, response: Any, client: Client) -> str:
        return "".join(
            f" [{one.member_id or one.group_instance_id}: {ErrorCode.of(one.error_code).name}]"
            for one in response.members
        )

    def state(self) -> str:
        """The group in one line.

        Who waits for the generation is followed by a j, for the assignment by an s; who still has
        to ask for it by a question mark.
        """
        group = self.driver.shard.groups.get("g")
        if group is None:
            return "g is not there"
        assert isinstance(group, ClassicGroup)
        members = ", ".join(
            member.member_id
            + (" j" if member.parked_join is not None else "")
            + (" s" if member.parked_sync is not None else "")
            + (" ?" if member.member_id in group.pending_syncs else "")
            for member in group.members.values()
        )
        pending = (
            f" given out: {', '.join(sorted(group.pending_joins))}" if group.pending_joins else ""
        )
        return (
            f"g is {group.state} at generation {group.generation}"
            f" {group.protocol_type}/{group.protocol_name} leader {group.leader_id}"
            f" [{members}]{pending}"
        )
