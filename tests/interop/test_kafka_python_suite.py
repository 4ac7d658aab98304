"""kafka-python's own integration tests, from its sdist on PyPI, against the broker under test.

What passes against Apache's broker is in kafka_python_suite.toml, with the date; the same must pass
against ours. With KAFKA_PY_AGAINST=apache the list itself is checked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.oracle import apache
from tests.oracle.node import Node

HERE = Path(__file__).resolve().parent
EXPECTED = tomllib.loads((HERE / "kafka_python_suite.toml").read_text())
MODULES = ("admin", "consumer", "producer")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def suite_node() -> Iterator[Node]:
    """A broker as kafka-python's own template configures it: four partitions, an authorizer."""
    properties = {
        "num.partitions": "4",
        "group.min.session.timeout.ms": "1000",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with apache.temporary_directory("kafka-python-suite") as directory:
        node = apache.node_under_test(directory, properties)
        # One test assigns replicas to broker 0, another wants the advertised address configured.
        node.properties["node.id"] = "0"
        node.properties["controller.quorum.voters"] = f"0@127.0.0.1:{node.port + 1}"
        node.properties["advertised.listeners"] = f"PLAINTEXT://127.0.0.1:{node.port}"
        with node:
            yield node
        apache.tools.close()


def unpacked() -> Path:
    """The directory above the sdist's ``test``, downloaded and unpacked once for each version."""
    wanted = version("kafka-python")
    folder = apache.cache_home() / f"kafka-python-{wanted}-suite"
    if (folder / "test" / "service.py").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    command += ["--no-build-isolation", "-d", str(folder), f"kafka-python=={wanted}"]
    subprocess.run(command, check=True, timeout=300)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, inside = member.name.partition("/")
            if inside.startswith("test/") and member.isfile():
                member.name = inside
                tar.extract(member, folder, filter="data")
    # Without it Python's own package of that name would be found first.
    (folder / "test" / "__init__.py").touch()
    service = (HERE / "kafka_python_service.py").read_text()
    (folder / "test" / "service.py").write_text(service)
    return folder


@pytest.fixture(scope="module")
def outcomes(suite_node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Test -> passed, skipped, or the failure's text."""
    folder = unpacked()
    report = tmp_path_factory.mktemp("suite") / "report.xml"
    environment = {
        **os.environ,
        "KAFKA_VERSION": "4.3",
        "KAFKA_URI": f"kafka://{suite_node.bootstrap}",
        "KAFKA_ROOT": str(folder),
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(folder), "--timeout", "60", f"--junitxml={report}"]
    command += [f"test/integration/test_{m}_integration.py" for m in MODULES]
    ran = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stdout[-3000:]
    out = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        out[name] = "passed"
        for child in case:
            if child.tag == "skipped":
                out[name] = "skipped"
            elif child.tag in ("failure", "error"):
                out[name] = (child.text or "failed")[-3000:]
    return out


def test_it_is_the_version_of_the_list() -> None:
    """The list was made with the version that is installed."""
    assert version("kafka-python") == EXPECTED["version"]


def test_the_same_passes(outcomes: dict[str, str]) -> None:
    """What passes against Apache's passes; what is known not to, for its reason, does not."""
    expected = set(EXPECTED["passed"])
    passed = {name for name, outcome in outcomes.items() if outcome == "passed"}
    if apache.against() == "apache":
        assert sorted(passed) == sorted(expected)
        return
    missing = set(EXPECTED["not_yet"])
    assert missing <= expected
    failed = {n: outcomes.get(n, "not run") for n in sorted(expected - missing - passed)}
    assert not failed, "\n".join(f"{name}: {text}" for name, text in failed.items())
    surprises = missing & passed
    assert not surprises, f"these pass now: take them out of not_yet: {sorted(surprises)}"
