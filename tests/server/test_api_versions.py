"""ApiVersions: what each listener promises, features, and clients' names."""

from __future__ import annotations

import pytest

from kafka_py.metadata.features import SUPPORTED
from kafka_py.protocol.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kafka_py.protocol.registry import API, ApiKey
from kafka_py.server.broker import Broker
from kafka_py.server.dispatch import BROKER, CONTROLLER, advertised, route
from tests.server.messages import batch, produce
from tests.server.wire import Wire

PRODUCE, API_VERSIONS = 0, 18
INVALID_REQUEST = 42


def hello(name: str = "client", version: str = "1.0") -> ApiVersionsRequest:
    """A client's first request."""
    return ApiVersionsRequest(client_software_name=name, client_software_version=version)


@pytest.mark.parametrize("version", range(5))
def test_the_list_is_what_is_answered(wire: Wire, version: int) -> None:
    reply: ApiVersionsResponse = wire.call(hello(), version)
    assert reply.error_code == 0
    said = [(one.api_key, one.min_version, one.max_version) for one in reply.api_keys]
    assert said == advertised(BROKER)
    assert said == sorted(said)
    for key, lowest, highest in said:
        served = [v for v in range(-1, highest + 2) if route(BROKER, key, v) is not None]
        # Produce 0-2 are promised for librdkafka's sake, and refused (KAFKA-18659).
        assert served == list(range(3 if key == PRODUCE else lowest, highest + 1)), key
        api = API[ApiKey(key)]
        assert api.versions[0] <= max(lowest, api.versions[0]) <= highest <= api.versions[1]


def test_the_controllers_listener_has_its_own_list(broker: Broker) -> None:
    port = broker.node.listener_port("CONTROLLER")
    with Wire(f"127.0.0.1:{port}") as wire:
        reply = wire.call(hello(), 4)
        said = [(one.api_key, one.min_version, one.max_version) for one in reply.api_keys]
        assert said == advertised(CONTROLLER)
        keys = {key for key, _, _ in said}
        assert API_VERSIONS in keys
        assert PRODUCE not in keys
        wire.send(produce("t", batch()), 9)
        assert wire.closed()


@pytest.mark.parametrize("version", range(5))
def test_features(broker: Broker, wire: Wire, version: int) -> None:
    reply = wire.call(hello(), version)
    supported = {one.name: (one.min_version, one.max_version) for one in reply.supported_features}
    finalized = {
        one.name: (one.min_version_level, one.max_version_level) for one in reply.finalized_features
    }
    if version < 3:
        assert not supported
        assert not finalized
        return
    expected = {name: (levels.min, levels.max) for name, levels in SUPPORTED.items()}
    if version == 3:
        # Lowest levels of 0 break old clients (KAFKA-17011).
        expected = {name: levels for name, levels in expected.items() if levels[0] > 0}
    assert supported == expected
    level = broker.node.image.features["metadata.version"]
    assert finalized["metadata.version"] == (level, level)
    assert all(low > 0 for low, _ in finalized.values())
    assert reply.finalized_features_epoch == broker.node.image.offset
    assert not reply.zk_migration_ready


@pytest.mark.parametrize(
    ("name", "version", "fine"),
    [
        ("apache-kafka-java", "4.3.1", True),
        ("a", "1", True),
        ("librdkafka", "v2.16.1-rc1", True),
        ("", "1", False),
        ("a", "", False),
        ("-a", "1", False),
        ("a-", "1", False),
        ("a b", "1", False),
        ("a", "1.", False),
        ("a\n", "1", False),
        ("ä", "1", False),
    ],
)
def test_names_of_clients(wire: Wire, name: str, version: str, fine: bool) -> None:
    """KIP-511: letters and digits, dots and hyphens inside; the connection goes on."""
    for api_version in (3, 4):
        reply = wire.call(hello(name, version), api_version)
        assert reply.error_code == (0 if fine else INVALID_REQUEST)
        assert bool(reply.api_keys) == fine
    assert wire.call(hello(), 4).error_code == 0


def test_a_name_is_kept_with_the_connection(broker: Broker) -> None:
    with Wire(broker.bootstrap_servers) as wire:
        wire.call(hello("named-client", "7.8"), 4)
        kept = {(c.software_name, c.software_version) for c in list(broker._hub.connections)}
        assert ("named-client", "7.8") in kept
