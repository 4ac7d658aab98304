"""``python -m kafka_py serve`` as a process: one ready line, one line for what goes wrong."""

# ruff: noqa: E501 (the texts are whole)

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READY = re.compile(
    r"kafka_py \d+\.\d+\.\d+ ready on (\S+) \(data in (.+), cluster ID ([\w-]{22})\)\n"
)

#: Apache Kafka's own config/server.properties without its comments; addresses and directory differ.
SERVER_PROPERTIES = """
############################# Server Basics #############################
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:{controller}

############################# Socket Server Settings #############################
listeners=PLAINTEXT://:{port},CONTROLLER://:{controller}
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:{port},CONTROLLER://localhost:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\\
  SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600

############################# Log Basics #############################
log.dirs={data}
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1

############################# Log Retention Policy #############################
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


def free_port():
    """A port that nobody listens on, of those that no connection is given by chance meanwhile."""
    while True:
        port = random.randrange(21_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(*arguments):
    """A process that serves; its output is piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "kafka_py", "serve", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextlib.contextmanager
def serving(*arguments):
    """(process, match of its ready line); killed at the end unless it has ended."""
    process = start(*arguments)
    try:
        line = process.stdout.readline()
        found = READY.fullmatch(line)
        assert found, line + process.stderr.read()
        yield process, found
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stopped(process, number=signal.SIGTERM):
    """The exit status after a signal, and what was on stderr."""
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def refused(*arguments):
    """(exit status, stderr) of a node that does not start."""
    process = start(*arguments)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


def connects(port):
    """Whether somebody listens."""
    with socket.create_connection(("127.0.0.1", port), timeout=30):
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fresh_directory_is_served_and_stopped(tmp_path, number):
    port, data = free_port(), tmp_path / "data"
    with serving("--listen", f"127.0.0.1:{port}", "--data", data) as (process, ready):
        assert ready[1] == f"127.0.0.1:{port}"
        assert ready[2] == str(data)
        assert connects(port)
        assert (data / "meta.properties").exists()
        assert stopped(process, number) == (0, "")
    with serving("--listen", f"127.0.0.1:{port}", "--data", data) as (process, again):
        assert again[3] == ready[3]
        assert stopped(process) == (0, "")


def test_apaches_server_properties_work_unchanged(tmp_path):
    port, controller = free_port(), free_port()
    path = tmp_path / "server.properties"
    path.write_text(
        SERVER_PROPERTIES.format(port=port, controller=controller, data=tmp_path / "logs")
    )
    with serving("--config", path) as (process, ready):
        assert ready[2] == str(tmp_path / "logs")
        assert connects(port)
        assert connects(controller)
        assert stopped(process) == (0, "")


def test_unknown_settings_are_named(tmp_path):
    with serving(
        *("--listen", f"127.0.0.1:{free_port()}", "--data", tmp_path / "d"),
        *("--set", "log.retention.bites=5"),
    ) as (process, _):
        assert stopped(process) == (
            0, "kafka-py: warning: unknown configuration log.retention.bites is ignored\n",
        )  # fmt: skip


def test_a_busy_port(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        status, err = refused("--listen", f"127.0.0.1:{port}", "--data", tmp_path / "d")
    assert status == 1
    assert err.count("\n") == 1
    assert str(port) in err
    assert "--listen" in err


def test_a_directory_in_use(tmp_path):
    data = tmp_path / "data"
    with serving("--listen", f"127.0.0.1:{free_port()}", "--data", data):
        status, err = refused("--listen", f"127.0.0.1:{free_port()}", "--data", data)
    assert status == 1
    assert err.count("\n") == 1
    assert str(data) in err
    assert "--data" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--set", "log.segment.bytes=5"), "Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576"),
        (("--set", "nonsense"), "--set nonsense: KEY=VALUE is wanted"),
        (("--listen", "127.0.0.1:port"), "'127.0.0.1:port' is no address: HOST:PORT is wanted, such as 127.0.0.1:9092"),
        (("--set", "authorizer.class.name=a.B"), "authorizer.class.name=a.B is not supported by kafka_py: Java classes cannot be loaded, and org.apache.kafka.metadata.authorizer.StandardAuthorizer is the only one built in"),
    ],
)  # fmt: skip
def test_a_bad_configuration(tmp_path, arguments, reason):
    status, err = refused("--data", tmp_path / "d", *arguments)
    assert (status, err) == (2, f"kafka-py: {reason}\n")
    assert not (tmp_path / "d").exists()


def test_a_directory_of_another_node(tmp_path):
    port, data = free_port(), tmp_path / "data"
    with serving("--listen", f"127.0.0.1:{port}", "--data", data) as (process, _):
        assert stopped(process)[0] == 0
    status, err = refused(
        *("--listen", f"127.0.0.1:{port}", "--data", data),
        *("--set", "node.id=2"),
    )
    assert status == 1
    assert err.count("\n") == 1
    assert str(data) in err


def test_directories_of_two_clusters(tmp_path):
    made = []
    for name in ("one", "two"):
        data = tmp_path / name
        with serving("--listen", f"127.0.0.1:{free_port()}", "--data", data) as (process, ready):
            made.append(ready[3])
            assert stopped(process)[0] == 0
    assert made[0] != made[1]
    status, err = refused("--set", f"log.dirs={tmp_path / 'one'},{tmp_path / 'two'}")
    assert status == 1
    assert err.count("\n") == 1
    assert all(cluster in err for cluster in made)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    status, err = refused("--data", tmp_path / "file" / "data")
    assert status == 1
    assert err.count("\n") == 1
    assert str(tmp_path / "file") in err
