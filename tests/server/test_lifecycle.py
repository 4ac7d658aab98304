"""A broker's conversation with the controller: registration, heartbeats, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kafka_py.metadata.features import SUPPORTED
from kafka_py.protocol.brokers import (
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from kafka_py.server import lifecycle
from kafka_py.server.lifecycle import Lifecycle, RegistrationFailed
from kafka_py.server.node import Listening

INCARNATION = b"i" * 16
DUPLICATE, NOT_CONTROLLER, INCONSISTENT_CLUSTER, STALE_EPOCH = 101, 41, 104, 77


class Directory:
    """A log directory as the controller hears of it."""

    def __init__(self, number: int, epoch: int = -1) -> None:
        self.directory_id = bytes([number]) * 16
        self.offline = False
        self.broker_epoch_at_stop = epoch


class Controller:
    """Answers what a test says."""

    applied_offset = 17


class FakeNode:
    """What a lifecycle uses of a node."""

    def __init__(self) -> None:
        self.node_id = 1
        self.cluster_id = "cluster"
        self.config = {"broker.rack": "r1", "broker.heartbeat.interval.ms": 2000}
        self.controller = Controller()
        self.replicas = self.moves = self
        self.cordoned: list[Directory] = []
        self.log_dirs = [Directory(2, 8), Directory(1, 5)]
        self.broker_epoch = -1
        self.fenced = True
        self.asked: list[Any] = []
        self.registrations: list[BrokerRegistrationResponse] = []
        self.beats: list[BrokerHeartbeatResponse] = []
        self.tasks: list[asyncio.Task[Any]] = []
        broker = Listening("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 9092, "broker")
        broker.advertised_host, broker.advertised_port = "kafka.example", 19092
        quorum = Listening("CONTROLLER", "PLAINTEXT", "127.0.0.1", 9093, "controller")
        self.listeners = {"PLAINTEXT": broker, "CONTROLLER": quorum}

    def is_cordoned(self, directory: Directory) -> bool:
        return directory in self.cordoned

    async def submit(self, request: Any) -> Any:
        self.asked.append(request)
        await asyncio.sleep(0)
        if isinstance(request, BrokerRegistrationRequest):
            return self.registrations.pop(0)
        assert isinstance(request, BrokerHeartbeatRequest)
        return self.beats.pop(0) if self.beats else BrokerHeartbeatResponse(is_fenced=False)

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_S", 0.001)


def run(test: Callable[[FakeNode, Lifecycle], Any]) -> FakeNode:
    """A test in a loop of its own."""
    node = FakeNode()

    async def main() -> None:
        await test(node, Lifecycle(node, INCARNATION))  # type: ignore[arg-type]

    asyncio.run(main())
    return node


def registered(error_code: int = 0, epoch: int = 33) -> BrokerRegistrationResponse:
    return BrokerRegistrationResponse(error_code=error_code, broker_epoch=epoch)


def test_what_the_controller_is_told() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        request = life.registration()
        assert (request.broker_id, request.cluster_id, request.rack) == (1, "cluster", "r1")
        assert request.incarnation_id == INCARNATION
        told = [(x.name, x.host, x.port, x.security_protocol) for x in request.listeners]
        assert told == [("PLAINTEXT", "kafka.example", 19092, 0)]
        levels = {
            x.name: (x.min_supported_version, x.max_supported_version) for x in request.features
        }
        assert levels == {name: (one.min, one.max) for name, one in SUPPORTED.items()}
        assert request.log_dirs == [b"\1" * 16, b"\2" * 16]
        # The lowest: one directory that was not stopped cleanly makes the whole broker unclean.
        assert request.previous_broker_epoch == 5
        assert type(request).decode(request.encode(4), 4) == request

    run(test)


def test_registered_and_unfenced() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.registrations = [registered(DUPLICATE), registered(NOT_CONTROLLER), registered()]
        node.beats = [
            BrokerHeartbeatResponse(is_fenced=True),
            BrokerHeartbeatResponse(error_code=NOT_CONTROLLER),
            BrokerHeartbeatResponse(is_fenced=False),
        ]
        async with asyncio.timeout(5):
            await life.register()

    node = run(test)
    assert not node.fenced
    assert node.broker_epoch == 33
    assert [type(one) for one in node.asked] == (
        [BrokerRegistrationRequest] * 3 + [BrokerHeartbeatRequest] * 3
    )
    assert all(one.broker_epoch == 33 for one in node.asked[3:])
    assert all(one.current_metadata_offset == 17 for one in node.asked[3:])
    assert not any(one.want_shut_down for one in node.asked[3:])


def test_refused_for_good() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.registrations = [registered(INCONSISTENT_CLUSTER)]
        with pytest.raises(RegistrationFailed, match="INCONSISTENT_CLUSTER_ID"):
            await life.register()
        assert node.broker_epoch == -1

    run(test)


def test_failed_directories_are_reported() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.log_dirs[0].offline = True
        await life.beat()
        assert node.asked[-1].offline_log_dirs == [b"\2" * 16]

    run(test)


def test_cordoned_directories_are_reported() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        await life.beat()
        assert node.asked[-1].cordoned_log_dirs == []
        node.cordoned = list(node.log_dirs)
        await life.beat()
        assert node.asked[-1].cordoned_log_dirs == [b"\1" * 16, b"\2" * 16]

    run(test)


def test_a_fenced_broker_knows_it_and_an_error_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.fenced = False
        node.beats = [
            BrokerHeartbeatResponse(error_code=STALE_EPOCH, is_fenced=True),
            BrokerHeartbeatResponse(is_fenced=True),
        ]
        await life.beat()
        assert not node.fenced
        assert "STALE_BROKER_EPOCH" in caplog.text
        await life.beat()
        assert node.fenced

    run(test)


def test_heartbeats_come_one_at_a_time() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        assert life.due(1000) == 3000
        assert life.due(1500) == 3000
        assert life.due(3000) == 3000, "one is under way"
        assert len(node.tasks) == 1
        await node.tasks[0]
        assert life.due(3000) == 5000
        await node.tasks[1]
        assert len(node.asked) == 2

    run(test)


def test_registering_was_the_first_heartbeat() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.registrations = [registered()]
        node.beats = [BrokerHeartbeatResponse(is_fenced=False)] * 2
        await life.register()
        assert life.due(1000) == 3000
        assert not node.tasks
        assert life.due(3000) == 5000
        await node.tasks[0]

    assert len(run(test).asked) == 3


def test_a_heartbeat_that_breaks_is_followed_by_others() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        async def broken(_request: Any) -> Any:
            raise OSError("no controller")

        whole, node.submit = node.submit, broken  # type: ignore[method-assign]
        life.due(0)
        with pytest.raises(OSError, match="no controller"):
            await node.tasks[0]
        node.submit = whole  # type: ignore[method-assign]
        assert life.due(2000) == 4000
        await node.tasks[1]
        assert len(node.asked) == 1

    run(test)


def test_leaving_waits_for_the_controller() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.beats = [BrokerHeartbeatResponse(is_fenced=False)] * 3
        node.beats.append(BrokerHeartbeatResponse(should_shut_down=True))
        await life.leave(5)
        assert len(node.asked) == 4
        assert all(one.want_shut_down for one in node.asked)

    run(test)


def test_leaving_takes_no_for_an_answer() -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        node.beats = [BrokerHeartbeatResponse(error_code=STALE_EPOCH)]
        await life.leave(5)
        assert len(node.asked) == 1

    run(test)


def test_leaving_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    async def test(node: FakeNode, life: Lifecycle) -> None:
        await life.leave(0.02)
        assert len(node.asked) >= 2
        assert "did not agree" in caplog.text

    run(test)
