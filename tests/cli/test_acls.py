"""``kafka-py acls`` against a broker in this process."""

import json

import pytest

import kafka_py
from kafka_py.cli.main import main

SETTINGS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


@pytest.fixture(scope="module")
def bootstrap():
    """A broker for all of this module."""
    with kafka_py.Broker(SETTINGS) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def kafka(capsys, bootstrap):
    """Run a command: (status, stdout, stderr)."""

    def run(*arguments, server=bootstrap):
        try:
            status = main(["acls", *arguments, "-b", server])
        except SystemExit as exit_:
            status = exit_.code
        return (status, *capsys.readouterr())

    yield run
    for resource in ("--topic", "--group", "--transactional-id"):
        for pattern in ("literal", "prefixed"):
            run("remove", resource, "t", "--pattern", pattern)
    run("remove", "--cluster")


def test_added_listed_and_removed(kafka):
    status, out, _ = kafka("add", "--topic", "t", "--allow", "User:a", "--operation", "read")
    assert status == 0
    assert out.splitlines() == [
        "RESOURCE  NAME  PATTERN  PRINCIPAL  HOST  OPERATION  PERMISSION",
        "Topic     t     Literal  User:a     *     Read       Allow",
    ]
    assert kafka("list")[1] == out
    assert kafka("list", "--principal", "User:b")[1:] == ("", "kafka-py: no entries\n")
    status, _, err = kafka("remove", "--topic", "t", "--allow", "User:a")
    assert (status, err) == (0, "kafka-py: removed 1 entry\n")
    assert kafka("list")[2] == "kafka-py: no entries\n"


def test_every_combination(kafka):
    words = ["--topic", "t", "--group", "t", "--allow", "User:a", "--deny", "User:b"]
    words += ["--operation", "Read", "--operation", "Describe", "--host", "::1", "--host", "*"]
    status, out, _ = kafka("add", *words, "--pattern", "prefixed", "--json")
    assert status == 0
    added = json.loads(out)["added"]
    assert len(added) == 16
    assert {row["pattern"] for row in added} == {"Prefixed"}
    listed = json.loads(kafka("list", "--topic", "topic", "--pattern", "match", "--json")[1])
    assert len(listed["acls"]) == 8
    assert json.loads(kafka("list", "--topic", "topic", "--json")[1]) == {"acls": []}


def test_the_cluster_and_transactional_ids(kafka):
    assert kafka("add", "--cluster", "--allow", "User:a")[0] == 0
    words = ["--transactional-id", "t", "--allow", "User:a", "--operation", "two_phase_commit"]
    assert kafka("add", *words)[0] == 0
    rows = json.loads(kafka("list", "--json")[1])["acls"]
    assert [(row["resource"], row["operation"]) for row in rows] == [
        ("Cluster", "All"),
        ("TransactionalId", "TwoPhaseCommit"),
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["add", "--topic", "t"], "say who"),
        (["add", "--allow", "User:a"], "name a resource"),
        (["add", "--topic", "t", "--allow", "a"], "write User:a"),
        (
            ["add", "--topic", "t", "--allow", "User:a", "--operation", "ClusterAction"],
            "nothing to do to a Topic",
        ),
        (["add", "--topic", "t", "--allow", "User:a", "--operation", "any"], "is none of All"),
        (["remove"], "name a resource"),
    ],
)
def test_what_the_user_got_wrong(kafka, words, why):
    status, out, err = kafka(*words)
    assert status == 2
    assert not out
    assert why in err


def test_reading_what_one_may_not_see(capsys):
    settings = {"authorizer.class.name": SETTINGS["authorizer.class.name"]}
    with kafka_py.Broker(settings) as broker:
        status = main(["consume", "t", "--to-end", "-b", broker.bootstrap_servers])
    assert status == 1
    assert "you may not see topic t" in capsys.readouterr().err


def test_a_broker_without_an_authorizer_says_so(kafka):
    with kafka_py.Broker() as broker:
        server = broker.bootstrap_servers
        status, _, err = kafka("list", server=server)
        assert status == 1
        assert "No Authorizer is configured" in err
        status, _, err = kafka("add", "--topic", "t", "--allow", "User:a", server=server)
        assert status == 1
        assert "No Authorizer is configured." in err
        assert kafka("remove", "--topic", "t", server=server)[0] == 1
