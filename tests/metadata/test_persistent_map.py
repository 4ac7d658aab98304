"""PersistentMap against a dict, with copies taken at random moments."""

from __future__ import annotations

import random

import pytest

from kafka_py.metadata.persistent_map import PersistentMap


def test_random_operations_equal_a_dict() -> None:
    chance = random.Random(5)
    tree: PersistentMap[int, int] = PersistentMap()
    model: dict[int, int] = {}
    copies: list[tuple[PersistentMap[int, int], dict[int, int]]] = []
    for step in range(20_000):
        key = chance.randrange(3000)
        dice = chance.random()
        if dice < 0.6:
            tree[key] = model[key] = step
        elif dice < 0.9:
            assert tree.pop(key) == model.pop(key, None)
        elif dice < 0.905:
            copies.append((tree.freeze(), dict(model)))
        elif dice < 0.907:
            copies.append((tree, dict(model)))
            tree = tree.thaw()
        assert len(tree) == len(model)
    copies.append((tree, model))
    for copy, expected in copies:
        assert copy == expected
        assert sorted(copy) == sorted(expected)
        assert sorted(copy.items()) == sorted(expected.items())


def test_a_frozen_map_refuses_writes() -> None:
    frozen = PersistentMap({"a": 1}).freeze()
    with pytest.raises(TypeError):
        frozen["b"] = 2
    with pytest.raises(TypeError):
        del frozen["a"]
    assert frozen.freeze() is frozen
    assert frozen == {"a": 1}
    assert "b" not in frozen
    assert frozen.get("b", 7) == 7


def test_what_is_frozen_twice_is_one_copy_until_a_write() -> None:
    tree: PersistentMap[str, int] = PersistentMap({"a": 1})
    before = tree.freeze()
    assert tree.freeze() is before
    tree["a"] = 2
    after = tree.freeze()
    del tree["a"]
    assert (dict(before), dict(after), dict(tree.freeze())) == ({"a": 1}, {"a": 2}, {})


def test_empty_maps_do_not_see_one_anothers_writes() -> None:
    maps: list[PersistentMap[int, int]] = [PersistentMap() for _ in range(3)]
    empty = maps[0].freeze()
    for number in range(100):
        maps[1][number] = number
    maps[2].thaw()[5] = 5
    assert [len(dict(tree)) for tree in (*maps, empty, PersistentMap())] == [0, 100, 0, 0, 0]


def test_missing_keys() -> None:
    tree: PersistentMap[str, int] = PersistentMap()
    with pytest.raises(KeyError):
        tree["a"]
    with pytest.raises(KeyError):
        del tree["a"]
    assert tree.pop("a") is None
    assert (tree == 5) is False
