"""kcore.values: what a dataclass would do, it does."""

import dataclasses
import inspect
import sys
from typing import ClassVar

import pytest

import kcore.values
from kcore.log_config import LogConfig
from kcore.values import field, fields, frozen, mutable, replace


@frozen
class Place:
    """Where."""

    KIND: ClassVar[str] = "place"

    topic: str
    partition: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return f"{self.topic}-{self.partition}"


@mutable
class Count:
    name: str
    seen: set[int] = field(default_factory=set)
    total: int = 0

    def __post_init__(self) -> None:
        self.total += len(self.seen)


@frozen
class Job:
    """Compared by identity."""

    name: str

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclasses.dataclass(frozen=True, slots=True)
class PlainPlace:
    topic: str
    partition: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)


CALLS = [
    (("a",), {}),
    (("a", 3), {}),
    (("a", 3, ["x"]), {}),
    ((), {"topic": "a", "notes": ["x"]}),
    (("a",), {"partition": 7}),
]


@pytest.mark.parametrize(("args", "given"), CALLS)
def test_constructor_takes_what_a_dataclass_takes(args, given):
    ours, plain = Place(*args, **given), PlainPlace(*args, **given)
    assert [getattr(ours, name) for name in fields(ours)] == list(dataclasses.astuple(plain))
    assert repr(ours).partition("(")[2] == repr(plain).partition("(")[2]


@pytest.mark.parametrize(
    ("args", "given"),
    [((), {}), (("a", 1, [], 4), {}), (("a",), {"topic": "b"}), (("a",), {"else": 1})],
)
def test_constructor_refuses_what_a_dataclass_refuses(args, given):
    for cls in (Place, PlainPlace):
        with pytest.raises(TypeError):
            cls(*args, **given)


def test_a_frozen_one_stays_as_it_is():
    place = Place("a")
    with pytest.raises(AttributeError, match="cannot assign to field 'partition'"):
        place.partition = 3
    with pytest.raises(AttributeError, match="cannot delete field 'partition'"):
        del place.partition
    with pytest.raises(AttributeError):
        place.other = 3
    assert place.partition == 0
    assert not hasattr(place, "__dict__")


def test_equality_and_hash():
    assert Place("a", 1) == Place("a", 1)
    assert Place("a", 1) != Place("a", 2)
    assert Place("a") != PlainPlace("a")
    key = ("a", 1, ())
    assert hash(Place(*key)) == hash(Place(*key))
    assert {Place(*key): 1}[Place(*key)] == 1
    with pytest.raises(TypeError):
        hash(Place("a"))  # its list is not hashable
    with pytest.raises(TypeError):
        hash(Count("a"))
    assert Job("a") != Job("a")
    assert len({Job("a"), Job("a")}) == 2


def test_each_instance_gets_its_own_default():
    first, second = Count("a"), Count("b")
    first.seen.add(1)
    first.total = 4
    assert (second.seen, second.total) == (set(), 0)
    assert Count("c", {1, 2}, 5).total == 7


def test_replace():
    place = Place("a", 1, ["x"])
    assert replace(place, partition=2) == Place("a", 2, ["x"])
    assert place.partition == 1
    with pytest.raises(TypeError):
        replace(place, else_=2)
    with pytest.raises(TypeError):
        replace(object(), name=2)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with Python 3.13")
def test_replace_as_python_has_it():
    import copy

    assert copy.replace(Place("a", 1), partition=2) == Place("a", 2)


def test_what_a_class_is_made_of():
    assert fields(Place) == ("topic", "partition", "notes")
    assert Place.__slots__ == fields(Place) == Place.__match_args__
    assert (Place.__doc__, Place.__qualname__, Place.__module__) == ("Where.", "Place", __name__)
    assert Place("a", 2).text == "a-2"
    assert Place.KIND == "place"
    assert str(inspect.signature(Place)).startswith("(topic, partition=0, notes=")


def test_keywords_only():
    assert LogConfig(segment_bytes=100).segment_bytes == 100
    with pytest.raises(TypeError):
        LogConfig(100)
    with pytest.raises(ValueError, match="segment_bytes 1 is not"):
        LogConfig(segment_bytes=1)
    assert LogConfig() == replace(LogConfig(segment_ms=5), segment_ms=LogConfig().segment_ms)


def test_one_function_is_compiled_for_a_class(monkeypatch):
    compiled = []
    monkeypatch.setattr(
        kcore.values, "exec", lambda text, names: compiled.append(exec(text, names)), raising=False
    )

    @frozen
    class Small:
        number: int

    assert Small(3).number == 3
    assert len(compiled) == 1
