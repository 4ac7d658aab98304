"""Seeded mutations of LZ4 frames through the fuzzer's target, beside liblz4."""

from itertools import islice

import pytest

from tests.fuzz.lz4 import cases, fuzz, fuzz_lz4, seeds


def test_seeds_are_accepted_so_that_mutations_start_from_something() -> None:
    assert all(fuzz_lz4(seed) for seed in seeds())


def test_the_same_seed_makes_the_same_cases() -> None:
    assert list(islice(cases(5), 50)) == list(islice(cases(5), 50))


@pytest.mark.slow
def test_mutations() -> None:
    assert fuzz(1, seed=20_261_129) > 500
