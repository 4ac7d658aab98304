"""Groups on a running broker: the way from the wire to a coordinator and back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_py.coordinator.machine import Moment
from kafka_py.coordinator.runtime import AppendFailed
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest
from kafka_py.protocol.groups import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest,
    DeleteGroupsRequest,
    DescribeGroupsRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    SyncGroupRequest,
)
from kafka_py.protocol.topics import DeleteTopicsRequest
from kafka_py.server.broker import Broker
from kafka_py.server.coordinator_partitions import PartitionWriter, java_hash, partition_of
from kafka_py.server.coordinators import GroupCoordinators, java_address
from tests.server.conftest import make_topic, on_loop
from tests.server.group_requests import (
    GROUPS_TOPIC,
    await_coordinator,
    commit,
    delete_offsets,
    errors,
    fetch_group,
    fetched,
    heartbeat,
    join,
    leave,
    offsets_of,
    stable_member,
    sync,
)
from tests.server.wire import Wire
from tests.waiting import PATIENCE_S, eventually

SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "5",
    "message.max.bytes": "32768",
}


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker with the topic of committed offsets, and a topic of two partitions."""
    with Broker(SETTINGS) as running:
        with Wire(running.bootstrap_servers) as connection:
            await_coordinator(connection)
            make_topic(connection, "t", 2)
        yield running


def partitions(broker: Broker) -> list[Any]:
    """The partitions of the groups' topic."""
    found = [broker.node.replicas.partition(GROUPS_TOPIC, index) for index in range(5)]
    assert None not in found
    return found


def load_anew(groups: GroupCoordinators, group: str) -> None:
    """Drop the coordinator of a group, as after an append that failed."""
    led = groups._led[partition_of(group, 5)]
    assert led.runtime is not None
    led.runtime.close()
    groups._reload(led)


def described(wire: Wire, *groups: str) -> Any:
    """Their rows of DescribeGroups."""
    return wire.call(DescribeGroupsRequest(groups=list(groups)), 5).groups


# -------------------------------------------------------------------------------------- membership


def test_a_member_from_beginning_to_end(wire: Wire) -> None:
    generation, member = stable_member(wire, "life")
    assert wire.call(heartbeat("life", generation, member), 4).error_code == 0
    assert wire.call(heartbeat("life", generation + 1, member), 4).error_code == (
        ErrorCode.ILLEGAL_GENERATION
    )
    (row,) = wire.call(DescribeGroupsRequest(groups=["life"]), 6).groups
    assert (row.group_state, row.protocol_type, row.protocol_data) == (
        "Stable",
        "consumer",
        "range",
    )
    (described,) = row.members
    assert described.member_id == member
    assert (described.client_id, described.client_host) == ("test", "/127.0.0.1")
    assert described.member_assignment == b"mine"
    answer = wire.call(leave("life", member, "stranger"), 5)
    assert answer.error_code == 0
    assert [one.error_code for one in answer.members] == [0, ErrorCode.UNKNOWN_MEMBER_ID]
    assert wire.call(heartbeat("life", generation, member), 4).error_code == (
        ErrorCode.UNKNOWN_MEMBER_ID
    )


def test_who_waits_holds_up_nobody_else(broker: Broker, wire: Wire) -> None:
    generation, member = stable_member(wire, "wait")
    with Wire(broker.bootstrap_servers) as second:
        asked = second.call(join("wait"), 9)
        second.send(join("wait", asked.member_id), 9)
        eventually(lambda: wire.call(heartbeat("wait", generation, member), 4).error_code)
        assert fetched(wire, "elsewhere", {"t": [0]}) == {"t": {0: -1}}
        again = wire.call(join("wait", member), 9)
        other = second.receive()
        assert again.generation_id == other.generation_id == generation + 1
        assert again.leader == member
        assert {one.member_id for one in again.members} == {member, other.member_id}
        second.send(sync("wait", other.generation_id, other.member_id), 5)
        mine = wire.call(
            sync("wait", again.generation_id, member, **{member: b"a", other.member_id: b"b"}), 5
        )
        assert mine.assignment == b"a"
        assert second.receive().assignment == b"b"
        wire.call(leave("wait", member, other.member_id), 5)


def test_a_member_that_is_gone_is_missed(broker: Broker, wire: Wire) -> None:
    with Wire(broker.bootstrap_servers) as second:
        stable_member(second, "gone")
        # Its connection ends while its second JoinGroup waits for nobody: nothing breaks.
        asked = second.call(join("gone", session_ms=6000), 9)
        second.send(join("gone", asked.member_id, session_ms=6000), 9)
    (row,) = wire.call(DescribeGroupsRequest(groups=["gone"]), 6).groups
    assert row.error_code == 0
    assert wire.call(ListGroupsRequest(), 5).error_code == 0


def test_many_deadlines_at_once(
    broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kafka_py.server.coordinator_partitions.EXPIRY_NS", 0)
    groups = [f"due{number}" for number in range(12)]
    for group in groups:
        stable_member(wire, group)

    def make_due() -> None:
        for led in broker.node.groups._led.values():
            for key in [key for key in led.machine.deadlines if set(key) & set(groups)]:
                led.machine.deadlines.set(key, 0)
        broker.node.groups._timer.at(0)

    on_loop(broker, make_due)
    eventually(lambda: {one.group_state for one in described(wire, *groups)} == {"Empty"})


def test_requests_that_reach_no_coordinator(wire: Wire) -> None:
    for version in (0, 4, 9):
        refused = wire.call(join("", "m"), version)
        assert (refused.error_code, refused.member_id) == (ErrorCode.INVALID_GROUP_ID, "m")
        assert refused.protocol_name == (None if version >= 7 else "")
        refused = wire.call(join("g", "m", session_ms=5999), version)
        assert (refused.error_code, refused.member_id) == (ErrorCode.INVALID_SESSION_TIMEOUT, "m")
    unnamed = SyncGroupRequest(group_id="g", member_id="m")
    assert wire.call(unnamed, 5).error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert wire.call(unnamed, 4).error_code == ErrorCode.UNKNOWN_MEMBER_ID
    for request, version in (
        (sync("", 1, "m"), 5),
        (heartbeat("", 1, "m"), 4),
        (leave("", "m"), 5),
        (delete_offsets("", {"t": [0]}), 0),
    ):
        assert wire.call(request, version).error_code == ErrorCode.INVALID_GROUP_ID


def test_one_member_leaves_in_the_old_form(wire: Wire) -> None:
    _, member = stable_member(wire, "old")
    for version in (0, 2):
        answer = wire.call(LeaveGroupRequest(group_id="old", member_id="stranger"), version)
        assert answer.error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert wire.call(LeaveGroupRequest(group_id="old", member_id=member), 1).error_code == 0


def test_the_consumer_protocol_is_there(broker: Broker, wire: Wire) -> None:
    beat = ConsumerGroupHeartbeatRequest(
        group_id="modern",
        member_id="A" * 22,
        member_epoch=0,
        rebalance_timeout_ms=30_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )
    answer = wire.call(beat, 1)
    assert (answer.error_code, answer.member_id) == (0, "A" * 22)
    assert answer.member_epoch > 0
    assert [sorted(one.partitions) for one in answer.assignment.topic_partitions] == [[0, 1]]
    described = wire.call(
        ConsumerGroupDescribeRequest(
            group_ids=["modern", "", "nobody"], include_authorized_operations=True
        ),
        1,
    )
    rows = {row.group_id: row for row in described.groups}
    assert rows[""].error_code == ErrorCode.INVALID_GROUP_ID
    assert rows["nobody"].error_code == ErrorCode.GROUP_ID_NOT_FOUND
    assert rows["modern"].group_state == "Stable"
    assert rows["modern"].authorized_operations == 3400
    (listed,) = wire.call(ListGroupsRequest(types_filter=["consumer"]), 5).groups
    assert (listed.group_id, listed.group_type) == ("modern", "consumer")
    (row,) = wire.call(DescribeGroupsRequest(groups=["modern"]), 6).groups
    assert row.error_code == ErrorCode.GROUP_ID_NOT_FOUND

    features = broker.node.image.features
    on_loop(broker, lambda: broker.node.controller.image.__setattr__("features", {}))
    try:
        assert wire.call(beat, 1).error_code == ErrorCode.UNSUPPORTED_VERSION
        (row,) = wire.call(ConsumerGroupDescribeRequest(group_ids=["modern"]), 1).groups
        assert row.error_code == ErrorCode.UNSUPPORTED_VERSION
    finally:
        on_loop(broker, lambda: broker.node.controller.image.__setattr__("features", features))
    beat.member_epoch = -1
    assert wire.call(beat, 1).member_epoch == -1


# ----------------------------------------------------------------------------------------- offsets


def test_offsets_are_committed_and_read(wire: Wire) -> None:
    topic_id = make_topic(wire, "read", 2)
    for version in (2, 5, 9):
        answer = wire.call(commit("offsets", {"t": {0: version, 1: 7}}), version)
        assert errors(answer) == {"t": {0: 0, 1: 0}}
        assert fetched(wire, "offsets", {"t": [0, 1, 2], "no": [0]}) == {
            "t": {0: version, 1: 7, 2: -1},
            "no": {0: -1},
        }
    assert errors(wire.call(commit("offsets", {topic_id: {1: 9}}), 10)) == {topic_id: {1: 0}}
    assert fetched(wire, "offsets", {topic_id: [1]}, 10) == {topic_id: {1: 9}}
    topics = OffsetFetchRequest.OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1])
    for version in range(1, 8):
        old = wire.call(OffsetFetchRequest(group_id="offsets", topics=[topics]), version)
        assert offsets_of(old) == {"t": {0: 9, 1: 7}}
        if version >= 2:
            old = wire.call(OffsetFetchRequest(group_id="offsets", topics=None), version)
            assert offsets_of(old) == {"t": {0: 9, 1: 7}, "read": {1: 9}}
    assert fetched(wire, "offsets", None, 8) == {"t": {0: 9, 1: 7}, "read": {1: 9}}
    assert len(fetched(wire, "offsets", None, 10)) == 2


def test_what_does_not_exist_is_sorted_out(wire: Wire) -> None:
    topic_id = make_topic(wire, "sorted", 1)
    unknown = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    answer = wire.call(commit("s", {"no": {0: 1}, "sorted": {4: 1, 0: 2}, "t": {1: 3}}), 9)
    assert errors(answer) == {"no": {0: unknown}, "sorted": {4: unknown, 0: 0}, "t": {1: 0}}
    assert errors(wire.call(commit("s", {"no": {0: 1}}), 9)) == {"no": {0: unknown}}
    assert errors(wire.call(commit("s", {}), 9)) == {}
    stranger = b"s" * 16
    unknown_id = int(ErrorCode.UNKNOWN_TOPIC_ID)
    answer = wire.call(commit("s", {stranger: {0: 1, 1: 1}, topic_id: {0: 5, 1: 6}}), 10)
    assert errors(answer) == {
        stranger: {0: unknown_id, 1: unknown_id},
        topic_id: {1: unknown, 0: 0},
    }
    assert fetched(wire, "s", {stranger: [3], topic_id: [0]}, 10) == {
        topic_id: {0: 5},
        stranger: {3: (unknown_id,)},
    }


def test_the_groups_of_a_fetch_are_answered_in_order(wire: Wire) -> None:
    for number in range(6):
        wire.call(commit(f"many{number}", {"t": {0: number}}), 9)
    names = [f"many{number}" for number in (3, 0, 5, 9, 1, 3)]
    request = OffsetFetchRequest(groups=[fetch_group(name, {"t": [0]}) for name in names])
    answer = wire.call(request, 9)
    assert [group.group_id for group in answer.groups] == names
    assert [offsets_of(group)["t"][0] for group in answer.groups] == [3, 0, 5, -1, 1, 3]


def test_offsets_are_deleted(wire: Wire) -> None:
    make_topic(wire, "doomed", 3)
    wire.call(commit("d", {"doomed": {0: 1, 1: 2, 2: 3}, "t": {0: 4}}), 9)
    unknown = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    answer = wire.call(delete_offsets("d", {"doomed": [0, 7], "no": [0]}), 0)
    assert (answer.error_code, errors(answer)) == (
        0,
        {"doomed": {7: unknown, 0: 0}, "no": {0: unknown}},
    )
    assert fetched(wire, "d", None) == {"doomed": {1: 2, 2: 3}, "t": {0: 4}}
    answer = wire.call(delete_offsets("nobody", {"doomed": [0], "no": [0]}), 0)
    assert (answer.error_code, answer.topics) == (ErrorCode.GROUP_ID_NOT_FOUND, [])
    reply = wire.call(DeleteTopicsRequest(topic_names=["doomed"], timeout_ms=30_000), 5)
    assert reply.responses[0].error_code == 0
    assert fetched(wire, "d", None) == {"t": {0: 4}}


def test_what_a_connection_sends_takes_effect_in_its_order(wire: Wire) -> None:
    wire.send(commit("order", {"t": {0: 1, 1: 2}}), 9)
    wire.send(delete_offsets("order", {"t": [0]}), 0)
    fetch = OffsetFetchRequest(groups=[fetch_group("order", None)])
    wire.send(fetch, 9)
    wire.send(DeleteGroupsRequest(groups_names=["order"]), 2)
    wire.send(fetch, 9)
    wire.send(ListGroupsRequest(), 4)
    wire.send(commit("order", {"t": {0: 7}}), 9)
    assert errors(wire.receive()) == {"t": {0: 0, 1: 0}}
    assert wire.receive().error_code == 0
    assert offsets_of(wire.receive().groups[0]) == {"t": {1: 2}}
    assert wire.receive().results[0].error_code == 0
    assert offsets_of(wire.receive().groups[0]) == {}
    assert "order" not in {one.group_id for one in wire.receive().groups}
    assert errors(wire.receive()) == {"t": {0: 0}}


def test_a_commit_that_is_too_large(wire: Wire) -> None:
    make_topic(wire, "wide", 12)
    request = commit("large", {"wide": dict.fromkeys(range(12), 1)})
    for row in request.topics[0].partitions:
        row.committed_metadata = "x" * 4000
    answer = wire.call(request, 9)
    assert set(errors(answer)["wide"].values()) == {int(ErrorCode.UNKNOWN_SERVER_ERROR)}
    assert fetched(wire, "large", {"wide": [0]}) == {"wide": {0: -1}}
    assert errors(wire.call(commit("large", {"wide": {0: 1}}), 9)) == {"wide": {0: 0}}


# ------------------------------------------------------------------------------------- all of them


def test_lists_and_deletions_span_the_coordinators(wire: Wire) -> None:
    names = [f"span{number}" for number in range(10)]
    assert len({partition_of(name, 5) for name in names}) > 2
    for name in names:
        wire.call(commit(name, {"t": {0: 1}}), 9)
    listed = {
        one.group_id for one in wire.call(ListGroupsRequest(states_filter=["empty"]), 5).groups
    }
    assert set(names) <= listed
    rows = wire.call(
        DescribeGroupsRequest(groups=[*names, "nobody"], include_authorized_operations=True), 6
    ).groups
    assert [row.group_id for row in rows] == [*names, "nobody"]
    assert [row.group_state for row in rows] == ["Empty"] * 10 + ["Dead"]
    assert rows[0].authorized_operations == 3400
    assert rows[-1].authorized_operations == -(1 << 31)
    results = wire.call(DeleteGroupsRequest(groups_names=[*names, "nobody", names[0]]), 2).results
    assert [(row.group_id, row.error_code) for row in results] == [
        *((name, 0) for name in names),
        ("nobody", ErrorCode.GROUP_ID_NOT_FOUND),
    ]
    assert not set(names) & {one.group_id for one in wire.call(ListGroupsRequest(), 0).groups}


# -------------------------------------------------------------------- leading, loading, and the end


def test_before_there_is_a_topic() -> None:
    with Broker(SETTINGS) as running, Wire(running.bootstrap_servers) as wire:
        make_topic(wire, "t")
        not_here = int(ErrorCode.NOT_COORDINATOR)
        assert wire.call(join("g"), 9).error_code == not_here
        assert wire.call(heartbeat("g", 1, "m"), 4).error_code == not_here
        assert errors(wire.call(commit("g", {"t": {0: 1}}), 9)) == {"t": {0: not_here}}
        assert wire.call(ListGroupsRequest(), 5).groups == []
        beat = ConsumerGroupHeartbeatRequest(member_id="m")
        refused = wire.call(beat, 1)
        assert (refused.error_code, refused.error_message) == (
            ErrorCode.INVALID_REQUEST,
            "GroupId can't be empty.",
        )
        beat.group_id = "g"
        beat.member_epoch = 3
        assert wire.call(beat, 1).error_code == not_here
        rows = wire.call(DescribeGroupsRequest(groups=["g", "h"]), 5).groups
        assert [row.error_code for row in rows] == [not_here] * 2
        await_coordinator(wire)
        assert errors(wire.call(commit("g", {"t": {0: 1}}), 9)) == {"t": {0: 0}}
        # The topic goes, and with it the groups; a new one is made at the next question.
        gone = wire.call(DeleteTopicsRequest(topic_names=[GROUPS_TOPIC], timeout_ms=30_000), 5)
        assert gone.responses[0].error_code == 0
        assert wire.call(join("g"), 9).error_code == not_here
        await_coordinator(wire)
        assert fetched(wire, "g", None) == {}


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    for turn in range(3):
        with Broker(SETTINGS, data=tmp_path) as running, Wire(running.bootstrap_servers) as wire:
            await_coordinator(wire)
            if turn == 0:
                make_topic(wire, "t", 2)
                generation, member = stable_member(wire, "kept")
            else:
                assert fetched(wire, "kept", None) == {"t": {0: turn, 1: 40}}
                assert fetched(wire, "simple", None) == {"t": {0: 99}}
                (row,) = wire.call(DescribeGroupsRequest(groups=["kept"]), 6).groups
                assert (row.group_state, row.members[0].member_assignment) == ("Stable", b"mine")
            beat = wire.call(heartbeat("kept", generation, member), 4)
            assert beat.error_code == 0
            offsets = {"t": {0: turn + 1, 1: 40}}
            answer = wire.call(commit("kept", offsets, generation=generation, member=member), 9)
            assert errors(answer) == {"t": {0: 0, 1: 0}}
            wire.call(commit("simple", {"t": {0: 99}}), 9)


def test_a_group_is_told_when_the_broker_stops() -> None:
    with contextlib.ExitStack() as stack:
        with Broker({**SETTINGS, "group.initial.rebalance.delay.ms": "60000"}) as running:
            wire = stack.enter_context(Wire(running.bootstrap_servers))
            await_coordinator(wire)
            asked = wire.call(join("g"), 9)
            wire.send(join("g", asked.member_id), 9)
            with Wire(running.bootstrap_servers) as second:
                eventually(lambda: described(second, "g")[0].group_state == "PreparingRebalance")
            began = time.monotonic()
        assert time.monotonic() - began < PATIENCE_S
        assert wire.receive().error_code == ErrorCode.NOT_COORDINATOR


def test_a_broker_without_the_consumer_protocol() -> None:
    settings = {**SETTINGS, "group.coordinator.rebalance.protocols": "classic"}
    with Broker(settings) as running, Wire(running.bootstrap_servers) as wire:
        unsupported = ErrorCode.UNSUPPORTED_VERSION
        beat = ConsumerGroupHeartbeatRequest(group_id="g", member_id="m")
        assert wire.call(beat, 1).error_code == unsupported
        rows = wire.call(ConsumerGroupDescribeRequest(group_ids=["g", "h"]), 0).groups
        assert [(row.group_id, row.error_code) for row in rows] == [
            ("g", unsupported),
            ("h", unsupported),
        ]


def test_records_linger_where_that_is_asked_for() -> None:
    settings = {**SETTINGS, "group.coordinator.append.linger.ms": "200"}
    with Broker(settings) as running, Wire(running.bootstrap_servers) as wire:
        await_coordinator(wire)
        make_topic(wire, "t")
        began = time.monotonic()
        for _ in range(2):
            wire.send(commit("g", {"t": {0: 1}}), 9)
        assert [errors(wire.receive()) for _ in range(2)] == [{"t": {0: 0}}] * 2
        assert time.monotonic() - began >= 0.2
        partition = running.node.replicas.partition(GROUPS_TOPIC, partition_of("g", 5))
        assert partition is not None
        assert partition.log_end_offset == 2


def test_leadership_that_goes(broker: Broker, wire: Wire) -> None:
    index = partition_of("lead", 5)
    wire.call(commit("lead", {"t": {0: 5}}), 9)
    groups = broker.node.groups
    partition = partitions(broker)[index]
    image, everything = (
        broker.node.image,
        type("All", (), {"everything": True, "topics_deleted": {}}),
    )

    def resign() -> None:
        partition.leads = False
        groups.image_changed(image, everything())  # type: ignore[arg-type]

    def return_() -> None:
        partition.leads = True
        groups.image_changed(image, everything())  # type: ignore[arg-type]

    on_loop(broker, resign)
    try:
        refused = wire.call(commit("lead", {"t": {0: 6}}), 9)
        assert errors(refused) == {"t": {0: ErrorCode.NOT_COORDINATOR}}
        assert wire.call(ListGroupsRequest(), 5).error_code == 0
    finally:
        on_loop(broker, return_)
    await_coordinator(wire, "lead")
    assert fetched(wire, "lead", None) == {"t": {0: 5}}


def test_while_it_loads(broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    make_topic(wire, "meanwhile")
    wire.call(commit("load", {"t": {0: 5}, "meanwhile": {0: 6}}), 9)
    go = threading.Event()
    real = __import__("kafka_py.coordinator.loading", fromlist=["replay"]).replay

    def slow(*arguments: Any) -> int:
        go.wait(2 * PATIENCE_S)
        count: int = real(*arguments)
        return count

    monkeypatch.setattr("kafka_py.coordinator.loading.replay", slow)
    groups = broker.node.groups
    on_loop(broker, lambda: load_anew(groups, "load"))
    loading = int(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    assert errors(wire.call(commit("load", {"t": {0: 6}}), 9)) == {"t": {0: loading}}
    assert wire.call(join("load"), 9).error_code == loading
    assert wire.call(heartbeat("load", 1, "m"), 4).error_code == 0
    assert wire.call(ListGroupsRequest(), 5).error_code == loading
    request = OffsetFetchRequest(groups=[fetch_group("load", None)])
    assert wire.call(request, 9).groups[0].error_code == loading
    reply = wire.call(DeleteTopicsRequest(topic_names=["meanwhile"], timeout_ms=30_000), 5)
    assert reply.responses[0].error_code == 0
    go.set()
    await_coordinator(wire, "load")
    assert fetched(wire, "load", None) == {"t": {0: 5}}


def test_a_log_that_cannot_be_read_is_tried_again(
    broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wire.call(commit("damaged", {"t": {0: 5}}), 9)

    def broken(*_: Any) -> int:
        raise ValueError("not a log")

    monkeypatch.setattr("kafka_py.coordinator.loading.replay", broken)
    monkeypatch.setattr("kafka_py.server.coordinator_partitions.RETRY_S", 0.5)
    groups = broker.node.groups
    on_loop(broker, lambda: load_anew(groups, "damaged"))
    eventually(lambda: "cannot be loaded" in caplog.text)
    # In between it is being loaded, which fails again.
    refused = {"t": {0: ErrorCode.NOT_COORDINATOR}}
    eventually(lambda: errors(wire.call(commit("damaged", {"t": {0: 6}}), 9)) == refused)
    monkeypatch.undo()
    taken = {"t": {1: 0}}
    eventually(lambda: errors(wire.call(commit("damaged", {"t": {1: 6}}), 9)) == taken)
    assert fetched(wire, "damaged", None) == {"t": {0: 5, 1: 6}}


def test_an_append_that_fails_is_loaded_anew(
    broker: Broker, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.call(commit("fail", {"t": {0: 5}}), 9)
    failures = [AppendFailed(ErrorCode.KAFKA_STORAGE_ERROR)]
    real = PartitionWriter.append

    def append(self: PartitionWriter, batch: bytes, now: Moment) -> int:
        if failures:
            raise failures.pop()
        return real(self, batch, now)

    monkeypatch.setattr(PartitionWriter, "append", append)
    refused = wire.call(commit("fail", {"t": {0: 6}}), 9)
    assert errors(refused) == {"t": {0: ErrorCode.NOT_COORDINATOR}}
    await_coordinator(wire, "fail")
    assert fetched(wire, "fail", None) == {"t": {0: 5}}
    assert errors(wire.call(commit("fail", {"t": {0: 7}}), 9)) == {"t": {0: 0}}
    assert fetched(wire, "fail", None) == {"t": {0: 7}}


def test_names() -> None:
    assert [java_hash(text) for text in ("", "a", "group", "polygenelubricants", "\U0001f600")] == [
        0,
        97,
        98629247,
        -(1 << 31),
        1772899,
    ]
    assert partition_of("polygenelubricants", 50) == 0
    assert partition_of("group", 50) == 98629247 % 50
    long = "g" * 1000
    assert partition_of(long, 50) == abs(java_hash(long)) % 50
    assert java_address("127.0.0.1") == "/127.0.0.1"
    assert java_address("::1") == "/0:0:0:0:0:0:0:1"
    assert java_address("::ffff:10.0.0.1") == "/10.0.0.1"
    assert java_address("fe80::1%eth0") == "/fe80:0:0:0:0:0:0:1%eth0"
