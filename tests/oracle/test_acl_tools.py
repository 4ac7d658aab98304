"""What kafka-acls prints of our node is what it prints of Apache's; and entries outlive a change
of brokers on one directory."""

# ruff: noqa: E501 (a command is one line)

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafka_py.cli.main import main
from kafka_py.protocol.registry import ApiKey
from tests.oracle import apache, scenarios_acls
from tests.oracle.comparing import two_nodes
from tests.oracle.conftest import Pair
from tests.oracle.node import Node, OurNode, free_port_pair
from tests.oracle.raw import SETTLE_S, Recorder
from tests.oracle.test_acls import PROPERTIES

TOOL = "org.apache.kafka.tools.AclCommand"
COMMANDS = [
    "--list",
    "--add --allow-principal User:alice --operation Read --operation Describe --topic orders",
    "--add --allow-principal User:alice --allow-host 10.0.0.1 --operation Write --topic orders --resource-pattern-type prefixed",
    "--add --deny-principal User:bob --deny-host 10.0.0.2 --topic orders",
    "--add --allow-principal User:p --producer --topic orders --transactional-id tx",
    "--add --allow-principal User:c --consumer --topic orders --group g",
    "--add --allow-principal User:i --producer --idempotent --topic other",
    "--add --allow-principal User:admin --operation All --cluster",
    "--add --allow-principal User:* --operation Read --topic *",
    "--add --allow-principal User:d --operation DescribeTokens --user-principal User:e",
    "--add --allow-principal User:d --operation Describe --delegation-token abc",
    "--add --allow-principal User:t --operation TwoPhaseCommit --transactional-id tx",
    "--add --allow-principal nobody --operation Read --topic orders",
    "--add --allow-principal User:x --operation ClusterAction --topic orders",
    "--list",
    "--list --topic orders",
    "--list --topic orders --resource-pattern-type literal",
    "--list --topic orders-eu --resource-pattern-type match",
    "--list --topic orders --resource-pattern-type any",
    "--list --principal User:alice",
    "--list --principal User:alice --principal User:bob --topic orders",
    "--list --group g",
    "--list --cluster",
    "--list --topic nothing",
    "--list --topic orders --bootstrap-controller",
    "--add --allow-principal User:k --operation Alter --topic orders --bootstrap-controller",
    "--list --principal User:k",
    "--remove --allow-principal User:alice --operation Read --topic orders --force",
    "--remove --topic other --force",
    "--remove --allow-principal User:c --consumer --topic orders --group g --force",
    "--remove --topic orders --resource-pattern-type prefixed --force",
    "--remove --topic nothing --force",
    "--list",
]


@pytest.fixture(scope="module")
def tool_pair(oracle_classpath: str) -> Iterator[Pair]:
    """Apache's broker and the one under test, each with an authorizer."""
    with contextlib.ExitStack() as stack:
        nodes = two_nodes(stack, "acl-tools", PROPERTIES)
        for node in nodes:
            host = Recorder(node.port, 0)
            scenarios_acls.let_the_host_in(host)
            host.close()
        yield Pair(nodes[0], nodes[1], 0)


def printed(node: Node, line: str) -> tuple[int, list[str]]:
    """Exit status and lines, sorted: the tool prints sets as they come."""
    words = line.split()
    if words[-1] == "--bootstrap-controller":
        words.append(f"127.0.0.1:{node.port + 1}")
    else:
        words += ["--bootstrap-server", node.bootstrap]
    ran = apache.tools.run(TOOL, *words)
    errors = [
        text
        for text in ran.err.splitlines()
        if text.strip() and not text.lstrip().startswith(("at ", "... ", "[", "Caused by: "))
    ]
    time.sleep(SETTLE_S)
    return ran.exit, sorted(row.strip() for row in [*ran.out.splitlines(), *errors] if row.strip())


@pytest.mark.timeout(300)
def test_kafka_acls_prints_the_same(tool_pair: Pair) -> None:
    """Command by command."""
    for line in COMMANDS:
        expected, found = (printed(node, line) for node in (tool_pair.apache, tool_pair.ours))
        assert found == expected, line
        # What is removed is told of by nothing but its absence.
        assert found[1] or "nothing" in line or "--remove" in line


def ours(node: Node, *words: str) -> object:
    """What ``kafka-py acls`` prints as JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["acls", *words, "--json", "-b", node.bootstrap]) == 0
    return json.loads(out.getvalue())


@pytest.mark.timeout(120)
def test_our_command_works_with_both(tool_pair: Pair) -> None:
    """Entries added, listed and removed."""
    found = []
    for node in (tool_pair.apache, tool_pair.ours):
        added = ours(
            node,
            *("add", "--topic", "cli", "--group", "cli", "--allow", "User:a", "--deny", "User:b"),
            *("--operation", "read", "--operation", "DESCRIBE", "--host", "10.0.0.9"),
        )
        time.sleep(SETTLE_S)
        listed = ours(node, "list", "--topic", "cli", "--group", "cli")
        removed = ours(node, "remove", "--topic", "cli", "--allow", "User:a")
        removed_all = ours(node, "remove", "--topic", "cli", "--group", "cli")
        time.sleep(SETTLE_S)
        found.append((added, listed, removed, removed_all, ours(node, "list", "--topic", "cli")))
    assert found[0] == found[1]
    assert len(found[0][0]["added"]) == 8


CHAINS = (("ours", "apache", "ours"), ("apache", "ours", "apache"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_entries_on_each_others_directories(
    chain: tuple[str, ...], tmp_path: Path, oracle_classpath: str
) -> None:
    """What one broker wrote the next one shows, and enforces."""
    port = free_port_pair()
    expected: object = None
    for turn, who in enumerate(chain):
        kind = OurNode if who == "ours" and apache.against() != "apache" else apache.ApacheNode
        settings = {**PROPERTIES, "log.dirs": str(tmp_path / "data")}
        with kind(tmp_path / f"{turn}-{who}", port, settings):
            host = Recorder(port, 0)
            if turn == 0:
                scenarios_acls.let_the_host_in(host)
            else:
                assert seen(host) == expected, (turn, who)
            name = f"turn-{turn}"
            row = scenarios_acls.creation(2, name, 8)
            assert host.quiet(ApiKey.CREATE_ACLS, creations=[row]).results[0].error_code == 0
            if turn == 2:
                gone = {**scenarios_acls.ANY_FILTER, "resource_name_filter": "turn-0"}
                reply = host.quiet(ApiKey.DELETE_ACLS, filters=[gone])
                assert len(reply.filter_results[0].matching_acls) == 1
            host.settle()
            guest = Recorder(port, 0, source=scenarios_acls.GUEST)
            rows = [{"name": "turn-0"}, {"name": name}, {"name": "turn-9"}]
            wanted = {"topics": rows, "allow_auto_topic_creation": False}
            reply = guest.quiet(ApiKey.METADATA, 12, **wanted)
            codes = {topic.name: topic.error_code for topic in reply.topics}
            last = {"turn-0": 29} if turn == 2 else {"turn-0": 3}
            assert codes == {name: 3, "turn-9": 29, **last}
            expected = seen(host)
            guest.close()
            host.close()


def seen(host: Recorder) -> object:
    """All entries that a broker tells of."""
    reply = host.quiet(ApiKey.DESCRIBE_ACLS, **scenarios_acls.ANY_FILTER)
    return sorted(
        (r.resource_type, r.resource_name, r.pattern_type, a.principal, a.host, a.operation)
        for r in reply.resources
        for a in r.acls
    )
