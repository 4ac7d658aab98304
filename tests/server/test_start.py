"""What a start costs, counted where wall time is noise: modules, compiled functions, files."""

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import json, socket, struct, sys
"127.0.0.1".encode("idna")  # the client's first connection would load it
import kafka_py
broker = kafka_py.Broker
imported = set(sys.modules)
compiled, opened = [], []

def hook(event, arguments):
    if event == "compile":
        compiled.append(str(arguments[1]))
    elif event == "open" and isinstance(arguments[0], str | bytes):
        opened.append(str(arguments[0]))

sys.addaudithook(hook)
with broker() as node:
    host, port = node.bootstrap_servers.split(":")
    with socket.create_connection((host, int(port))) as conn:
        conn.sendall(struct.pack(">ihhih", 15, 18, 0, 7, 5) + b"probe")
        assert conn.recv(10, socket.MSG_WAITALL)[4:] == struct.pack(">ih", 7, 0)
    started = set(sys.modules)
    directory = node.log_dirs[0]
    compiled_then, opened_then = compiled[:], opened[:]
dataclasses = [
    f"{name}.{cls.__name__}"
    for name, module in sys.modules.items()
    if name.partition(".")[0] in ("kafka_py", "kcore")
    for cls in vars(module).values()
    if isinstance(cls, type) and cls.__module__ == name and "__dataclass_fields__" in vars(cls)
]
from kafka_py.protocol import prepared
print(json.dumps({
    "modules": sorted(started),
    "late": sorted(started - imported),
    "compiled": compiled_then,
    "opened": [path.removeprefix(directory + "/") for path in opened_then if directory in path],
    "dataclasses": dataclasses,
    "prepared": len(prepared.factories()),
}))
"""

#: Not for a start: what only some commands, clients, faults or groups need.
NOT_AT_A_START = (
    (
        "uvloop",
        "dataclasses",
        "concurrent.futures.thread",
        "numpy",
        "lz4",
        "zstandard",
        "cramjam",
        "re2",
        "argparse",
        "multiprocessing",
        "unittest",
    )
    + ("tempfile", "shutil", "pkgutil", "uuid")
    + ("kafka_py.cli", "kafka_py.client", "kafka_py.demo", "kafka_py.testing")
    + ("kafka_py.coordinator.shard", "kafka_py.coordinator.loading", "kafka_py.coordinator.classic")
    + ("kafka_py.coordinator.consumer", "kafka_py.coordinator.transactions.shard")
    + tuple(
        f"kafka_py.protocol.{name}"
        for name in ("decoding", "encoding", "prepare", "share", "share_state", "streams")
        + ("telemetry", "tokens", "quotas", "sasl", "describe")
    )
)


@pytest.fixture(scope="module")
def start() -> dict[str, Any]:
    """What happened from the import of a broker to its first answer."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(ran.stdout)
    assert told["prepared"], "start_codecs.py is missing or older than what it is made from: build"
    return told


def test_what_a_start_does_not_need_is_not_imported(start: dict[str, Any]) -> None:
    loaded = [
        module
        for module in start["modules"]
        for unwanted in NOT_AT_A_START
        if module == unwanted or module.startswith(unwanted + ".")
    ]
    assert not loaded


def test_a_start_waits_for_no_import_and_no_compiler(start: dict[str, Any]) -> None:
    assert start["late"] == []
    assert start["compiled"] == []


def test_a_start_reads_back_nothing_that_it_wrote(start: dict[str, Any]) -> None:
    """The lock is made, the others are not there yet."""
    assert start["opened"] == [
        ".lock",
        "meta.properties",
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "replication-offset-checkpoint",
    ]


def test_no_dataclass_is_defined_on_the_way(start: dict[str, Any]) -> None:
    """A millisecond each: `kcore.values` has what is cheaper."""
    assert start["dataclasses"] == []
