"""kafka-py format leaves what kafka-storage leaves, and Apache's broker starts on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle import apache
from tests.oracle.node import ROOT, Node, free_port_pair

#: What differs between any two runs.
_MASKS = [
    (re.compile(r"#\w{3} \w{3} .*"), "#<date>"),
    (re.compile(r"(directory\.id=)[\w-]{22}"), r"\1<id>"),
    (re.compile(r"CreateTime: \d+"), "CreateTime: <time>"),
    (re.compile(r"crc: \d+"), "crc: <crc>"),
    (re.compile(r'("lastContainedLogTimestamp":)\d+'), r"\1<time>"),
    (re.compile(r'("voterDirectoryId":)"[^"]*"'), r"\1<id>"),
]


def masked(text: str, folder: Path) -> list[str]:
    """Lines, masked; those of a properties file may come in any order."""
    text = text.replace(str(folder), "DIR")
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text.splitlines()


def formatted(folder: Path, port: int, how: str, extra: list[str]) -> tuple[Node, list[str]]:
    """A directory formatted by ``apache`` or ``ours``, and what was printed."""
    properties = {}
    if "--standalone" in extra:
        properties = {"controller.quorum.bootstrap.servers": f"127.0.0.1:{port + 1}"}
    node = apache.ApacheNode(folder, port, properties)
    if properties:
        del node.properties["controller.quorum.voters"]
    folder.mkdir()
    node.config_path.write_text("".join(f"{k}={v}\n" for k, v in node.properties.items()))
    words = ["--cluster-id", apache.CLUSTER_ID, "--config", str(node.config_path), *extra]
    if how == "apache":
        return node, masked(apache.tools.run("storage", "format", *words).ok(), folder)
    ran = subprocess.run(
        [sys.executable, "-m", "kafka_py", "format", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return node, masked(ran.stdout, folder)


@pytest.mark.parametrize(
    "extra",
    [
        [],
        ["--standalone"],
        ["--release-version", "4.1"],
        ["--release-version", "3.9"],
        ["--feature", "group.version=0"],
    ],
    ids=lambda words: " ".join(words) or "plain",
)
def test_same_format(extra: list[str], tmp_path: Path, oracle_classpath: str) -> None:
    """The same files, meta.properties and snapshots, as Apache's tools print them."""
    port = free_port_pair()
    seen = []
    for how in ("apache", "ours"):
        node, _ = formatted(tmp_path / how, port, how, extra)
        files = sorted(str(f.relative_to(node.data)) for f in node.data.rglob("*") if f.is_file())
        meta = masked((node.data / "meta.properties").read_text(), node.directory)
        dumps = [
            masked(
                apache.tools.run(
                    "dump-log", "--cluster-metadata-decoder", "--files", node.data / name
                ).ok(),
                node.directory,
            )
            for name in files
            if name.endswith(".checkpoint")
        ]
        seen.append((files, sorted(meta), dumps))
    assert seen[0][2]
    assert seen[1] == seen[0]


@pytest.mark.parametrize("extra", [[], ["--standalone"]], ids=["static", "standalone"])
def test_apache_starts_on_ours(extra: list[str], tmp_path: Path, oracle_classpath: str) -> None:
    """Features are finalized as they were formatted; a topic can be made."""
    node, _ = formatted(tmp_path / "node", free_port_pair(), "ours", extra)
    with node:
        told = apache.tools.run("features", "--bootstrap-server", node.bootstrap, "describe").ok()
        assert re.search(r"metadata\.version .*FinalizedVersionLevel: 4\.3", told)
        kraft = re.search(r"kraft\.version .*FinalizedVersionLevel: (\d)", told)
        assert kraft is not None
        assert kraft.group(1) == ("1" if extra else "0")
        words = ("--create", "--topic", "a", "--bootstrap-server", node.bootstrap)
        apache.tools.run("topics", *words).ok()
