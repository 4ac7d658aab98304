"""Transactions with the clients of other languages: each sees what was committed, exactly once."""

from __future__ import annotations

import pytest

from tests.interop.jvm import group_offsets
from tests.interop.test_transactions import read, until_equal, write
from tests.interop.transactors import TRANSACTORS, Transaction
from tests.oracle.node import Node
from tests.oracle.raw import Recorder
from tests.oracle.under_test import require

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]

RECORDS = 200
WORK = [
    Transaction(("a0", "a1", "a2"), True),
    Transaction(("b0", "b1"), False),
    Transaction(("c0",), True),
    Transaction(("d0",), False),
    Transaction(("e0", "e1"), True),
]
COMMITTED = ["a0", "a2", "c0", "e0", "a1", "e1"]
ALL = ["a0", "a2", "b0", "c0", "d0", "e0", "a1", "b1", "e1"]


@pytest.mark.parametrize("name", list(TRANSACTORS))
def test_what_is_committed_is_read(name: str, node: Node) -> None:
    """Commits and aborts in turn; then the same producer starts once more."""
    kind = TRANSACTORS[name]
    require(kind.missing())
    topic = f"transact-{name}"
    Recorder(node.port, 0).create(topic, 2)
    kind().transact(node.bootstrap, f"id-{name}", topic, WORK)
    until_equal(lambda: read(node.bootstrap, topic, 2), COMMITTED)
    until_equal(lambda: read(node.bootstrap, topic, 2, "read_uncommitted"), ALL)
    kind().transact(node.bootstrap, f"id-{name}", topic, [Transaction(("f0",), True)])
    until_equal(lambda: "f0" in read(node.bootstrap, topic, 2), True)


@pytest.mark.parametrize("name", list(TRANSACTORS))
def test_a_copy_is_exact(name: str, node: Node) -> None:
    """Records and the offsets of the group that read them are committed together."""
    kind = TRANSACTORS[name]
    require(kind.missing())
    group = f"copied-by-{name}"
    recorder = Recorder(node.port, 0)
    recorder.create(f"{group}-in", 2)
    recorder.create(f"{group}-out", 3)
    write(node.bootstrap, f"{group}-in", RECORDS)
    kind().copy(node.bootstrap, group, RECORDS)
    until_equal(lambda: sum(group_offsets(node.bootstrap, group).values()), RECORDS)
    expected = sorted(map(str, range(RECORDS)))
    until_equal(lambda: sorted(read(node.bootstrap, f"{group}-out", 3)), expected)
