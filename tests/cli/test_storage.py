"""format, info and random-uuid, held against what Apache's kafka-storage prints."""

# ruff: noqa: E501 (the texts are whole, as Kafka prints them)

import re

import pytest

from kafka_py.cli.main import main

CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
BOOTSTRAP = (
    "Bootstrap metadata: BootstrapMetadata(records=["
    + ", ".join(
        f"ApiMessageAndVersion(FeatureLevelRecord(name='{name}', featureLevel={level}) at version 0)"
        for name, level in (
            ("metadata.version", 30),
            ("eligible.leader.replicas.version", 1),
            ("group.version", 1),
            ("share.version", 1),
            ("streams.version", 1),
            ("transaction.version", 2),
        )
    )
    + "], metadataVersionLevel=30, source=format command)"
)


@pytest.fixture
def properties(tmp_path):
    """A function that writes a server.properties and gives its path."""

    def write(*, voters=False, dirs=("data",), **changes):
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": ",".join(str(tmp_path / name) for name in dirs),
        }
        if voters:
            lines["controller.quorum.voters"] = "1@localhost:9093"
        else:
            lines["controller.quorum.bootstrap.servers"] = "localhost:9093"
        lines |= {name.replace("_", "."): text for name, text in changes.items()}
        path = tmp_path / "server.properties"
        path.write_text("".join(f"{name}={text}\n" for name, text in lines.items()))
        return str(path)

    return write


def run(capsys, *arguments):
    """(status, stdout, stderr) of a command."""
    try:
        status = main(arguments)
    except SystemExit as exit_:
        status = exit_.code
    out, err = capsys.readouterr()
    return status, out, err


def test_a_dynamic_quorum_of_one(capsys, properties, tmp_path):
    path = properties()
    status, out, err = run(capsys, "format", "-t", CLUSTER, "-c", path, "--standalone")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        BOOTSTRAP,
        f"Formatting dynamic metadata voter directory {tmp_path / 'data'} with metadata.version "
        "4.3-IV0.",
    ]
    meta = (tmp_path / "data" / "meta.properties").read_text()
    assert f"cluster.id={CLUSTER}\n" in meta
    assert "node.id=1\n" in meta
    assert "version=1\n" in meta
    checkpoint = (
        tmp_path / "data" / "__cluster_metadata-0" / "00000000000000000000-0000000000.checkpoint"
    )
    assert checkpoint.stat().st_size > 0

    status, _, err = run(capsys, "format", "-t", CLUSTER, "-c", path, "--standalone")
    assert status == 1
    assert err == (
        f"kafka-py: Log directory {tmp_path / 'data'} is already formatted. Use "
        "--ignore-formatted to ignore this directory and format the others.\n"
    )
    again = run(capsys, "format", "-t", CLUSTER, "-c", path, "-s", "-g")
    assert again == (0, "All of the log directories are already formatted.\n", "")

    other = "AkU3OEVBNTcwNTJENDM2Qk"
    status, _, err = run(capsys, "format", "-t", other, "-c", path, "-s", "-g")
    assert status == 1
    assert err == (
        f"kafka-py: Invalid cluster.id in: {tmp_path / 'data' / 'meta.properties'}. Expected "
        f"{other}, but read {CLUSTER}\n"
    )

    status, out, _ = run(capsys, "info", "-c", path)
    assert status == 0
    assert re.fullmatch(
        rf"Found log directory:\n  {tmp_path / 'data'}\n\nFound metadata: "
        rf"{{cluster.id={CLUSTER}, directory.id=[\w-]{{22}}, node.id=1, version=1}}\n\n",
        out,
    )


def test_static_voters_and_two_directories(capsys, properties, tmp_path):
    path = properties(voters=True, dirs=("one", "two"))
    status, out, _ = run(capsys, "format", "-t", CLUSTER, "-c", path)
    assert status == 0
    assert out.splitlines()[1:] == [
        f"Formatting data directory {tmp_path / 'two'} with metadata.version 4.3-IV0.",
        f"Formatting metadata directory {tmp_path / 'one'} with metadata.version 4.3-IV0.",
    ]
    assert not (tmp_path / "one" / "__cluster_metadata-0").exists()


def test_initial_controllers_give_the_directory_its_id(capsys, properties, tmp_path):
    path = properties()
    voters = "1@localhost:9093:JEXY6aqzQY-32P5TStzaFg"
    assert run(capsys, "format", "-t", CLUSTER, "-c", path, "-I", voters)[0] == 0
    meta = (tmp_path / "data" / "meta.properties").read_text()
    assert "directory.id=JEXY6aqzQY-32P5TStzaFg\n" in meta


def test_an_older_release_and_a_feature(capsys, properties):
    path = properties()
    _, out, _ = run(
        capsys, "format", "-t", CLUSTER, "-c", path, "-s", "-r", "4.0", "-f", "group.version=0"
    )
    assert out.splitlines()[0] == (
        "Bootstrap metadata: BootstrapMetadata(records=["
        "ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel=25) at "
        "version 0), ApiMessageAndVersion(FeatureLevelRecord(name='transaction.version', "
        "featureLevel=2) at version 0)], metadataVersionLevel=25, source=format command)"
    )
    assert out.endswith("with metadata.version 4.0-IV3.\n")


@pytest.mark.parametrize(
    ("voters", "arguments", "status", "reason"),
    [
        (False, (), 2, "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers."),
        (True, ("-s",), 2, "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead."),
        (False, ("-s", "-r", "9.9"), 1, "Unknown metadata.version '9.9'. Supported metadata.version are: 3.3-IV3, "),
        (False, ("-s", "-f", "nope=7"), 1, "Unsupported feature: nope. Supported features are: eligible.leader.replicas.version, group.version, "),
        (False, ("-s", "-f", "share.version=7"), 1, "No feature:share.version with feature level 7"),
        (False, ("-s", "-f", "share.version"), 2, "Can't parse feature=level string share.version: equals sign not found."),
        (False, ("-I", "1@localhost:9093"), 2, "--initial-controllers 1@localhost:9093: id@host:port:directory-id is wanted"),
    ],
)  # fmt: skip
def test_what_is_refused(capsys, properties, tmp_path, voters, arguments, status, reason):
    path = properties(voters=voters)
    got, out, err = run(capsys, "format", "-t", CLUSTER, "-c", path, *arguments)
    assert (got, out) == (status, "")
    assert err.startswith(f"kafka-py: {reason}")
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_bad_files(capsys, properties, tmp_path):
    missing = str(tmp_path / "nope")
    assert run(capsys, "info", "-c", missing) == (
        2, "", f"kafka-py: {missing} cannot be read: No such file or directory\n",
    )  # fmt: skip
    path = properties(node_id="x")
    assert run(capsys, "info", "-c", path) == (
        2, "", f"kafka-py: {path}: Invalid value x for configuration node.id: Not a number of type INT\n",
    )  # fmt: skip
    path = properties()
    assert run(capsys, "info", "-c", path) == (
        1, f"Found problem:\n  {tmp_path / 'data'} does not exist\n\n", "",
    )  # fmt: skip


def test_random_ids_differ(capsys):
    first, second = (run(capsys, "random-uuid")[1].strip() for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", first)


def test_the_command_line_explains_itself(capsys):
    status, out, _ = run(capsys, "--version")
    assert (status, bool(re.fullmatch(r"kafka-py \d+\.\d+\.\d+\n", out))) == (0, True)
    assert run(capsys)[0] == 2
    assert "invalid choice: 'nonsense'" in run(capsys, "nonsense")[2]


def test_the_apis_and_the_gaps_are_listed(capsys):
    status, out, _ = run(capsys, "describe-api")
    there, _, missing = out.partition("not there yet:\n")
    assert status == 0
    assert re.search(r"^  3 Metadata +0-13$", there, re.M)
    assert re.search(r"^ +17 SaslHandshake 0-1: ", missing, re.M)
