"""CreateAcls and DeleteAcls: records, ids, duplicates, refusals, filters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import Harness

from kafka_py.controller.acls import matching
from kafka_py.metadata.snapshot import image_of, image_records
from kafka_py.protocol.acls import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

GOOD: dict[str, Any] = {
    "resource_type": 2,
    "resource_name": "t",
    "resource_pattern_type": 3,
    "principal": "User:a",
    "host": "*",
    "operation": 3,
    "permission_type": 3,
}
ANY: dict[str, Any] = {
    "resource_type_filter": 1,
    "resource_name_filter": None,
    "pattern_type_filter": 1,
    "principal_filter": None,
    "host_filter": None,
    "operation": 1,
    "permission_type": 1,
}


@pytest.fixture
def h() -> Harness:
    return Harness()


def create(h: Harness, *changes: dict[str, Any]) -> list[tuple[int, str | None]]:
    rows = [CreateAclsRequest.AclCreation(**{**GOOD, **change}) for change in changes]
    reply = h.ask(CreateAclsRequest(creations=rows))
    return [(row.error_code, row.error_message) for row in reply.results]


def delete(h: Harness, *changes: dict[str, Any]) -> Any:
    rows = [DeleteAclsRequest.DeleteAclsFilter(**{**ANY, **change}) for change in changes]
    return h.ask(DeleteAclsRequest(filters=rows)).filter_results


def names(h: Harness, **wanted: Any) -> list[tuple[str, int]]:
    found = matching(h.image, DescribeAclsRequest(**{**ANY, **wanted}))
    return sorted((acl.resource_name, acl.pattern_type) for _, acl in found)


def test_an_entry_is_written_once(h: Harness) -> None:
    assert create(h, {}, {}, {"operation": 4}) == [(0, "")] * 3
    assert len(h.image.acls) == 2
    end = h.node.store.end_offset
    assert create(h, {}) == [(0, "")]
    assert h.node.store.end_offset == end
    assert all(len(acl_id) == 16 and acl_id[6] >> 4 == 4 for acl_id in h.image.acls)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resource_name": ""}, "Invalid empty resource name"),
        ({"resource_type": 4}, "The only valid name for the CLUSTER resource is kafka-cluster"),
        ({"resource_type": 99}, "Invalid resourceType UNKNOWN"),
        ({"resource_pattern_type": 2}, "Invalid patternType MATCH"),
        ({"operation": 1}, "Invalid operation ANY"),
        ({"permission_type": 0}, "Invalid permissionType UNKNOWN"),
        ({"principal": "a"}, "Could not parse principal from `a`"),
    ],
)
def test_what_is_refused_stops_nothing_else(
    h: Harness, change: dict[str, Any], message: str
) -> None:
    (code, text), good = create(h, change, {})
    assert code == 42
    assert text is not None
    assert text.startswith(message)
    assert good == (0, "")
    assert len(h.image.acls) == 1


def test_too_many_at_once_and_none_is_written(h: Harness) -> None:
    rows = [{"resource_name": str(number)} for number in range(10_001)]
    assert {code for code, _ in create(h, *rows)} == {44}
    assert not h.image.acls


def test_filters(h: Harness) -> None:
    prefixed = {"resource_pattern_type": 4}
    create(h, {}, {"resource_name": "*"}, {"resource_name": "to", **prefixed}, {**prefixed})
    every = [("*", 3), ("t", 3), ("t", 4), ("to", 4)]
    assert names(h) == every
    assert names(h, resource_name_filter="t") == [("t", 3), ("t", 4)]
    assert names(h, resource_name_filter="t", pattern_type_filter=3) == [("t", 3)]
    match = {"pattern_type_filter": 2}
    assert names(h, resource_name_filter="topic", **match) == [("*", 3), ("t", 4), ("to", 4)]
    assert names(h, resource_name_filter="t", **match) == [("*", 3), ("t", 3), ("t", 4)]
    assert names(h, **match) == every
    assert names(h, operation=4) == []
    assert names(h, operation=99) == []
    assert names(h, principal_filter="User:a", host_filter="*", permission_type=3) == every


def test_deleted_once_and_told_to_every_filter(h: Harness) -> None:
    create(h, {}, {"resource_name": "u"})
    first, second, wrong = delete(h, {"resource_name_filter": "t"}, {}, {"operation": 0})
    assert [acl.resource_name for acl in first.matching_acls] == ["t"]
    assert sorted(acl.resource_name for acl in second.matching_acls) == ["t", "u"]
    assert (wrong.error_code, wrong.error_message) == (42, "Unknown entryFilter.")
    assert not h.image.acls


def test_a_snapshot_holds_them(h: Harness) -> None:
    create(h, {}, {"permission_type": 2})
    again = image_of(image_records(h.image), h.image.offset, h.image.epoch)
    assert dict(again.acls.items()) == dict(h.image.acls.items())
