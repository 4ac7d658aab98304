"""What a node holds before it runs, and that nothing is held when it cannot."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kafka_py.clock import RealClock
from kafka_py.config.broker import BrokerConfig
from kafka_py.config.definition import ConfigError
from kafka_py.config.standalone import standalone_properties, with_settings
from kafka_py.controller.format import FormatError
from kafka_py.network import AddressInUse, RealNetwork, Sockets
from kafka_py.replication.log_directory import DirectoryLock, LogDirectoryError
from kafka_py.server.opening import Opened, host_name, open_node, sockets_of
from kcore.checkpoints import MetaProperties
from kcore.errors import CorruptFile, DirectoryLocked

RANDOM = random.Random(7)


def config_of(path: Path, **settings: str) -> BrokerConfig:
    """A standalone node's configuration; in names of settings _ stands for a dot."""
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return BrokerConfig(with_settings(standalone_properties(str(path), port=0), named))


def opening(config: BrokerConfig, network: Any = None) -> Opened:
    return open_node(config, network=network or RealNetwork(), clock=RealClock(), random=RANDOM)


@contextmanager
def opened(config: BrokerConfig) -> Iterator[Opened]:
    result = opening(config)
    try:
        yield result
    finally:
        result.close()


def free(path: Path) -> bool:
    """Whether nobody holds a directory."""
    try:
        DirectoryLock(path).release()
    except DirectoryLocked:
        return False
    return True


def test_a_fresh_directory_is_formatted_and_held(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"
    with opened(config_of(path)) as one:
        meta = MetaProperties.read(path)
        assert meta is not None
        assert (meta.cluster_id, meta.node_id) == (one.cluster_id, 1)
        assert one.directories == [one.metadata]
        assert one.metadata.cluster_id == one.cluster_id
        assert not free(path)
        assert set(one.bound) == set(one.listeners) == {"PLAINTEXT", "CONTROLLER"}
        for listening in one.listeners.values():
            assert listening.port == listening.advertised_port > 0
            assert listening.advertised_host == "127.0.0.1"
        kept = one.cluster_id
    assert free(path)
    with opened(config_of(path)) as again:
        assert again.cluster_id == kept


def test_a_new_directory_joins_the_others(tmp_path: Path) -> None:
    first, second, meta = (tmp_path / name for name in ("a", "b", "meta"))
    with opened(config_of(first)) as one:
        cluster_id = one.cluster_id
    config = config_of(first, log_dirs=f"{first},{second}", metadata_log_dir=str(meta))
    with opened(config) as both:
        assert both.cluster_id == cluster_id
        assert [one.path for one in both.directories] == [first, second]
        assert both.metadata.path == meta
        ids = {one.directory_id for one in (*both.directories, both.metadata)}
        assert len(ids) == 3
        assert not any(free(path) for path in (first, second, meta))
    assert all(free(path) for path in (first, second, meta))


def test_directories_of_two_clusters(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for number, path in enumerate(paths):
        config = config_of(path)
        one = open_node(
            config, network=RealNetwork(), clock=RealClock(), random=random.Random(number)
        )
        one.close()
    with pytest.raises(FormatError):
        opening(config_of(paths[0], log_dirs=f"{paths[0]},{paths[1]}"))
    assert all(free(path) for path in paths)


def test_another_nodes_directory(tmp_path: Path) -> None:
    with opened(config_of(tmp_path)):
        pass
    config = config_of(tmp_path, node_id="2", controller_quorum_voters="2@127.0.0.1:0")
    with pytest.raises((LogDirectoryError, FormatError), match="node"):
        opening(config)
    assert free(tmp_path)


def test_a_damaged_identity(tmp_path: Path) -> None:
    with opened(config_of(tmp_path)):
        pass
    (tmp_path / "meta.properties").write_text("version=1\nnode.id=one\ncluster.id=x\n")
    with pytest.raises(CorruptFile, match=r"meta\.properties"):
        opening(config_of(tmp_path))
    assert free(tmp_path)


def test_a_directory_in_use(tmp_path: Path) -> None:
    """The free one of two is let go again."""
    mine, taken = tmp_path / "mine", tmp_path / "taken"
    with opened(config_of(taken)):
        with pytest.raises(DirectoryLocked, match="in use"):
            opening(config_of(mine, log_dirs=f"{mine},{taken}"))
        assert free(mine)
        assert not (mine / "meta.properties").exists()


def test_a_busy_address_formats_nothing(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listeners = f"PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}"
        config = config_of(
            tmp_path, listeners=listeners, controller_quorum_voters=f"1@127.0.0.1:{port}"
        )
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{port} is in use"):
            opening(config)
    assert free(tmp_path)
    assert not (tmp_path / "meta.properties").exists()


def test_the_first_address_is_let_go_when_the_second_fails(tmp_path: Path) -> None:
    class Bound:
        port = 9
        closed = False

        def close(self) -> None:
            self.closed = True

    made: list[Bound] = []
    asked: list[Sockets] = []

    class Network:
        def bind(self, host: str, port: int, sockets: Sockets) -> Bound:
            asked.append(sockets)
            if made:
                raise AddressInUse(98, "taken")
            made.append(Bound())
            return made[-1]

    settings = {
        "socket_listen_backlog_size": "7",
        "socket_receive_buffer_bytes": "-1",
        "socket_send_buffer_bytes": "30000",
    }
    with pytest.raises(AddressInUse):
        opening(config_of(tmp_path, **settings), Network())
    assert made[0].closed
    assert asked[0] == Sockets(backlog=7, receive_bytes=-1, send_bytes=30000)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(OSError, match="file"):
        opening(config_of(path))


def test_socket_settings_that_are_not_written_down(tmp_path: Path) -> None:
    assert sockets_of(config_of(tmp_path)) == Sockets(send_bytes=102_400)
    written = config_of(tmp_path, socket_receive_buffer_bytes="102400")
    assert sockets_of(written).receive_bytes == 102_400


@pytest.mark.parametrize("roles", ["broker", "controller"])
def test_one_role_alone_is_refused(tmp_path: Path, roles: str) -> None:
    listener = "PLAINTEXT" if roles == "broker" else "CONTROLLER"
    voters = "1@127.0.0.1:9093" if roles == "controller" else "2@h:9093"
    with pytest.raises(ConfigError, match=r"process\.roles"):
        config_of(
            tmp_path,
            process_roles=roles,
            listeners=f"{listener}://127.0.0.1:0",
            controller_quorum_voters=voters,
        )


def test_what_clients_are_told(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        listeners="PLAINTEXT://127.0.0.1:0,OTHER://:0,CONTROLLER://127.0.0.1:0",
        listener_security_protocol_map=("PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        advertised_listeners="PLAINTEXT://kafka.example:19092,OTHER://:0",
    )
    with opened(config) as one:
        told = {n: (x.advertised_host, x.advertised_port) for n, x in one.listeners.items()}
        assert told["PLAINTEXT"] == ("kafka.example", 19092)
        assert told["OTHER"] == (host_name(), one.listeners["OTHER"].port)
        roles = {name: listening.role for name, listening in one.listeners.items()}
        assert roles == {"PLAINTEXT": "broker", "OTHER": "broker", "CONTROLLER": "controller"}
