"""``kafka-py groups`` and ``kafka-py consume`` against a broker in this process."""

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import kafka_py
from kafka_py.cli import output
from kafka_py.cli.consume import text_of, time_text
from kafka_py.cli.groups_reset import parse_datetime_ms, parse_duration_ms
from kafka_py.cli.main import main
from kafka_py.client.admin import Admin
from kafka_py.client.cluster import Cluster
from kafka_py.client.types import OffsetAndMetadata, TopicPartition
from tests.client.seeding import NOW_MS, SETTINGS, seed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bootstrap():
    """A broker for all of this module."""
    with kafka_py.Broker(SETTINGS) as broker:
        seed(broker.bootstrap_servers, "orders", 3)
        seed(broker.bootstrap_servers, "other", 1)
        yield broker.bootstrap_servers


@pytest.fixture
def kafka(capsys, bootstrap):
    """Run a command: (status, stdout, stderr)."""

    def run(*arguments):
        try:
            status = main([*arguments, "-b", bootstrap])
        except SystemExit as exit_:
            status = exit_.code
        return (status, *capsys.readouterr())

    return run


def commit(bootstrap, group, offsets, topic="orders"):
    """Commit offsets by partition."""

    async def run():
        async with Admin(Cluster(bootstrap)) as admin:
            wanted = {TopicPartition(topic, n): OffsetAndMetadata(o) for n, o in offsets.items()}
            assert await admin.alter_offsets(group, wanted) == {}

    asyncio.run(run())


class Running:
    """``kafka-py consume`` as a process of its own."""

    def __init__(self, bootstrap, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kafka_py", "consume", *arguments, "-b", bootstrap],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told = []
        self._assigned = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.told.append(line)
            if "assigned" in line:
                self._assigned.set()

    def wait_assigned(self):
        """Until it says so."""
        assert self._assigned.wait(60), self.told

    def stop(self, number=signal.SIGINT):
        """(status, stdout)."""
        self.process.send_signal(number)
        out = self.process.stdout.read()
        status = self.process.wait(60)
        self._reader.join(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return status, out


def test_list_and_describe(kafka, bootstrap):
    commit(bootstrap, "listed", {0: 4, 2: 10})
    status, out, err = kafka("groups", "list")
    assert (status, err) == (0, "")
    assert re.search(r"^listed +Classic +Empty +-$", out, re.MULTILINE)
    assert out.startswith("GROUP")
    status, out, _ = kafka("groups", "list", "--json", "--state", "empty", "--type", "CLASSIC")
    assert {"group": "listed", "type": "Classic", "state": "Empty", "protocol_type": ""} in (
        json.loads(out)["groups"]
    )
    assert kafka("groups", "list", "--state", "Stable") == (0, "", "kafka-py: no such groups\n")
    status, out, err = kafka("groups", "describe", "listed")
    assert (status, err) == (0, "")
    assert out.splitlines()[2:] == [
        "TOPIC   PARTITION  COMMITTED  LOG END  LAG  MEMBER  HOST  CLIENT ID",
        "orders          0          4       10    6  -       -     -",
        "orders          2         10       10    0  -       -     -",
    ]
    assert out.startswith("listed: Empty, no members, lag 6\n")
    assert kafka("groups", "describe", "listed", "--members")[1].endswith("No members.\n")


def test_a_group_that_does_not_exist(kafka):
    reason = "kafka-py: group nope does not exist: kafka-py groups list shows those that do\n"
    assert kafka("groups", "describe", "nope") == (1, "", reason)
    assert kafka("groups", "delete", "nope") == (1, "", reason)
    assert kafka("groups", "delete-offsets", "nope", "--topic", "orders:0") == (1, "", reason)


PLANS = [
    (("--to-earliest",), [0, 0, 0]),
    (("--to-latest",), [10, 10, 10]),
    (("--to-current",), [4, 10, 5]),
    (("--to-offset", "7"), [7, 7, 7]),
    (("--to-datetime", "2026-09-21T14:13:23"), [3, 3, 3]),
    (("--to-datetime", "2100-01-01T00:00:00+02:00"), [10, 10, 10]),
    (("--by-duration", "P36500D"), [0, 0, 0]),
]


@pytest.mark.parametrize(("arguments", "after"), PLANS)
def test_reset_plans(kafka, bootstrap, arguments, after):
    commit(bootstrap, "planned", {0: 4, 2: 5})
    before = kafka("groups", "describe", "planned", "--json")[1]
    status, out, err = kafka(
        "groups", "reset-offsets", "planned", "--topic", "orders", "--json", *arguments
    )
    assert (status, err.count("\n")) == (0, 1)
    assert "--execute" in err
    plan = json.loads(out)
    assert plan["executed"] is False
    assert [row["before"] for row in plan["offsets"]] == [4, None, 5]
    assert [row["after"] for row in plan["offsets"]] == after
    assert [row["lag_after"] for row in plan["offsets"]] == [10 - offset for offset in after]
    assert kafka("groups", "describe", "planned", "--json")[1] == before


def test_reset_executed_shifted_and_cut(kafka, bootstrap):
    commit(bootstrap, "moved", {0: 4, 2: 9})
    status, out, err = kafka(
        "groups", "reset-offsets", "moved", "--all-topics", "--shift-by", "3", "--execute"
    )
    assert status == 0
    assert out.splitlines() == [
        "TOPIC   PARTITION  BEFORE  AFTER  LOG START  LOG END  LAG BEFORE  LAG AFTER",
        "orders          0       4      7          0       10           6          3",
        "orders          2       9     10          0       10           1          0",
    ]
    assert err.splitlines() == [
        "kafka-py: orders-2: offset 12 is behind the last record; 10 is taken instead",
        "kafka-py: written: 2 of 2 offsets",
    ]
    rows = json.loads(kafka("groups", "describe", "moved", "--json")[1])["groups"][0]["offsets"]
    assert [(row["partition"], row["committed"]) for row in rows] == [(0, 7), (2, 10)]


def test_reset_of_a_new_group_creates_it(kafka):
    arguments = ("groups", "reset-offsets", "fresh", "--topic", "orders:0-1", "--to-offset", "2")
    assert "does not exist; writing creates it" in kafka(*arguments)[2]
    assert kafka(*arguments, "--execute")[0] == 0
    assert kafka("groups", "describe", "fresh")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("--to-latest",), 2, "say which offsets, by --topic or --all-topics"),
        (("--topic", "orders:9", "--to-latest"), 2, "topic orders has partitions 0 to 2, not 9"),
        (("--topic", "orders:x", "--to-latest"), 2, "partitions are numbers, such as 0,2 or 0-3"),
        (("--topic", "none", "--to-latest"), 1, "topic none does not exist"),
        (("--topic", "orders", "--shift-by", "1"), 1, "no committed offset of orders-0"),
        (("--all-topics", "--to-latest"), 1, "no committed offsets of topics that exist"),
    ],
)
def test_resets_that_are_refused(kafka, arguments, status, reason):
    got, out, err = kafka("groups", "reset-offsets", "never", *arguments)
    assert (got, out, err.count("\n")) == (status, "", 1)
    assert reason in err


def test_delete(kafka, bootstrap):
    commit(bootstrap, "gone", {0: 1, 1: 2})
    deleted = kafka("groups", "delete-offsets", "gone", "--topic", "orders:0")
    assert deleted == (0, "deleted the offset of orders partition 0\n", "")
    rows = json.loads(kafka("groups", "describe", "gone", "--json")[1])["groups"][0]["offsets"]
    assert [row["partition"] for row in rows] == [1]
    assert kafka("groups", "delete", "gone") == (0, "deleted group gone\n", "")
    assert kafka("groups", "describe", "gone")[0] == 1


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_a_member(kafka, bootstrap, protocol):
    group = f"live-{protocol}"
    running = Running(
        bootstrap,
        *("orders", "--from-beginning", "--group", group, "--protocol", protocol),
        *("--client-id", "loader"),
    )
    try:
        running.wait_assigned()
        status, out, _ = kafka("groups", "describe", group, "--members")
        assert status == 0
        assert re.search(r" 127\.0\.0\.1 +loader .* 3 +orders:0-2$", out, re.MULTILINE)
        who = f"group {group} has 1 active member (loader at 127.0.0.1): stop them first"
        assert kafka("groups", "delete", group) == (1, "", f"kafka-py: {who}\n")
        reset = ("groups", "reset-offsets", group, "--topic", "orders", "--to-earliest")
        assert kafka(*reset, "--execute") == (1, "", f"kafka-py: {who}\n")
        assert who in kafka(*reset)[2]
        status, _, err = kafka("groups", "delete-offsets", group, "--topic", "orders:0")
        assert (status, "read this topic; stop them first" in err) == (1, True)
    finally:
        status, out = running.stop()
    assert status == 0
    assert len(out.splitlines()) == 30
    assert running.told[-2:] == [
        f"kafka-py: group {group}: gave up orders 0-2\n",
        f"kafka-py: 30 records; offsets committed, left group {group}\n",
    ]
    (described,) = json.loads(kafka("groups", "describe", group, "--json")[1])["groups"]
    assert (described["lag"], described["state"], described["members"]) == (0, "Empty", [])


def test_consume_in_a_group_commits_exactly_what_was_printed(kafka):
    arguments = ("consume", "orders", "--group", "some", "--from-beginning", "--json")
    status, out, err = kafka(*arguments, "--max", "12")
    assert status == 0
    first = [(row["partition"], row["offset"]) for row in map(json.loads, out.splitlines())]
    assert len(first) == 12
    assert err.endswith("kafka-py: 12 records; offsets committed, left group some\n")
    second = kafka(*arguments, "--max", "18")[1]
    rest = [(row["partition"], row["offset"]) for row in map(json.loads, second.splitlines())]
    assert sorted(first + rest) == [(p, o) for p in range(3) for o in range(10)]


def test_consume_alone(kafka):
    assert kafka("consume", "orders:1", "--offset", "-2", "--to-end") == (
        0,
        "orders-1@8  2026-09-21T14:13:28.000Z  key 8  value 8  [n=8]\n"
        "orders-1@9  2026-09-21T14:13:29.000Z  key 9  value 9  [n=9]\n",
        "",
    )
    status, out, _ = kafka("consume", "other", "--from-beginning", "--to-end", "--json")
    assert status == 0
    assert json.loads(out.splitlines()[0]) == {
        "topic": "other",
        "partition": 0,
        "offset": 0,
        "timestamp_ms": NOW_MS,
        "key": "key 0",
        "value": "value 0",
        "headers": [{"name": "n", "value": "0"}],
    }
    assert len(out.splitlines()) == 10


def test_consume_ends_when_nobody_reads_it_any_more(bootstrap):
    running = Running(bootstrap, "orders", "--group", "piped", "--from-beginning")
    assert running.process.stdout.readline().startswith("orders-")
    running.process.stdout.close()
    assert running.process.wait(60) == 0
    running._reader.join(60)
    running.process.stderr.close()
    assert "left group piped" in running.told[-1]


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("nope",), 1, "topic nope does not exist"),
        (("orders", "--offset", "11"), 2, "orders-0 has offsets 0 to 10, not 11"),
        (("orders", "--offset", "1", "--group", "g"), 2, "a group goes on where it has committed"),
        (("orders:0", "--group", "g"), 2, "a group divides partitions itself"),
        (("orders", "--max", "0"), 2, "0 is no number above 0"),
    ],
)
def test_consume_refused(kafka, arguments, status, reason):
    got, out, err = kafka("consume", *arguments)
    assert (got, out) == (status, "")
    assert reason in err


def test_no_broker(capsys):
    assert main(["groups", "list", "-b", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == (
        "kafka-py: no broker answers at 127.0.0.1:1: Connection refused: start one with kafka-py "
        "serve, or name another with --bootstrap-server\n"
    )
    assert main(["groups", "list", "-b", "here"]) == 2
    assert "'here' is no address" in capsys.readouterr().err


def test_tables_and_colours(monkeypatch):
    columns = (output.Column("NAME"), output.Column("N", right=True))
    assert output.table_lines(columns, [("a", 10), (None, 9)]) == [
        "NAME   N",
        "a     10",
        "-      9",
    ]
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.styled("x", output.BOLD, terminal) == "\033[1mx\033[0m"
    assert output.styled("x", output.BOLD, io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.styled("x", output.BOLD, terminal) == "x"
    assert output.runs([5, 0, 1, 2]) == "0-2,5"


def test_texts_of_records_and_times():
    assert text_of(None) == "null"
    assert text_of("añb".encode()) == "añb"
    assert text_of(b"\xff\n\x1b[1m") == r"\xff\n\x1b[1m"
    assert time_text(-1) == "-"
    assert time_text(NOW_MS + 7) == "2026-09-21T14:13:20.007Z"
    assert time_text(1 << 62) == str(1 << 62)
    assert parse_duration_ms("P1DT2H3M4.5S") == 93_784_500
    assert parse_duration_ms("P2W") == 14 * 86_400_000
    assert parse_datetime_ms("2026-09-21T14:13:20Z") == NOW_MS
    assert parse_datetime_ms("2026-09-21T16:13:20+02:00") == NOW_MS
    for text in ("P", "PT", "1h", "P1H"):
        with pytest.raises(Exception, match="no ISO 8601 duration"):
            parse_duration_ms(text)
